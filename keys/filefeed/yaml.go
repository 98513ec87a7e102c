package filefeed

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const emptyFile = "the file is empty: it requires at least \"keys: []\"; with a key it looks like this:\n" +
	"keys:\n" +
	"  - id: docs-site\n" +
	"    sha256: <output of \"docsgate keys hash\">\n" +
	"    source: [\"<id of the source>\"]"

const oneDocument = `a key file must be a single document: remove this and the rest, or move its keys into the list above`

// parseYAML parses exactly one YAML document.
func parseYAML(data []byte) (*node, *Error) { return parseYAMLAt(data, nil, 0) }

// parseYAMLAt parses exactly one YAML document, which consists of an additional beginning and data. Lines are added to the lines of nodes.
func parseYAMLAt(data, beginning []byte, lines int) (*node, *Error) {
	dec := yaml.NewDecoder(io.MultiReader(bytes.NewReader(beginning), bytes.NewReader(data)))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, &Error{Line: 1, Column: 1, Message: emptyFile}
	case err != nil:
		return nil, yamlFault(data, err)
	}
	var next yaml.Node
	switch err := dec.Decode(&next); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, yamlFault(data, err)
	default:
		return nil, &Error{Line: next.Line, Column: next.Column, Message: oneDocument}
	}
	if len(doc.Content) != 1 {
		return nil, &Error{Line: 1, Column: 1, Message: emptyFile}
	}
	root := fromYAML(doc.Content[0], lines)
	if root.kind == nullNode {
		return nil, &Error{Line: 1, Column: 1, Message: emptyFile}
	}
	return root, nil
}

// fromYAML converts a tree of the library. It follows no aliases, so the result is never larger than the file.
func fromYAML(y *yaml.Node, lines int) *node {
	n := &node{position: position{y.Line + lines, y.Column}}
	switch {
	case y.Kind == yaml.AliasNode:
		n.kind = aliasNode
	case y.Style&yaml.TaggedStyle != 0:
		n.kind = tagNode
	case y.Kind == yaml.SequenceNode:
		n.kind, n.items = listNode, make([]*node, 0, len(y.Content))
		for _, item := range y.Content {
			n.items = append(n.items, fromYAML(item, lines))
		}
	case y.Kind == yaml.MappingNode:
		n.kind, n.fields = mapNode, make([]field, 0, len(y.Content)/2)
		for i := 0; i+1 < len(y.Content); i += 2 {
			name := fromYAML(y.Content[i], lines)
			n.fields = append(n.fields, field{
				position: name.position, name: y.Content[i].Value, key: name.kind, value: fromYAML(y.Content[i+1], lines),
			})
		}
	default:
		n.kind, n.text = scalarKind(y), y.Value
	}
	return n
}

func scalarKind(y *yaml.Node) kind {
	switch y.ShortTag() {
	case "!!str":
		return textNode
	case "!!null":
		return nullNode
	case "!!timestamp":
		return timeNode
	default:
		return scalarNode
	}
}

var (
	yamlLine      = regexp.MustCompile(`^line (\d+): `)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// yamlFault converts an error of the library, which is a fixed text preceded by a line number. Only the text of an unknown
// anchor contains a part of the file, and a value that starts with "*" may be a pasted secret.
func yamlFault(data []byte, err error) *Error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := unknownAnchor.FindStringSubmatch(text); m != nil {
		before, _, _ := bytes.Cut(data, []byte("*"+m[1]))
		return &Error{Line: 1 + bytes.Count(before, []byte("\n")), Message: noAlias}
	}
	f := &Error{Line: 1}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		f.Line, _ = strconv.Atoi(m[1]) // digits
		text = text[len(m[0]):]
	}
	f.Message = "invalid YAML, here or shortly after: " + text
	return f
}
