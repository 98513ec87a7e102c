package filefeed

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

const notJSON = `invalid JSON: look for a missing or surplus comma, quote or bracket here ` +
	`(a file that starts with "{" is parsed as JSON)`

// looksLikeJSON reports whether the first byte after white space opens an object.
func looksLikeJSON(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && data[0] == '{'
}

// jsonParser parses JSON to nodes with their positions.
type jsonParser struct {
	dec  *jsontext.Decoder
	data []byte

	arena  *arena   // nil: nodes are allocated
	at     position // position of the byte at offset
	offset int
}

// parseJSON parses exactly one JSON value. Duplicate names are accepted here, so that they are reported as faults of the
// record, with a line.
func parseJSON(data []byte) (*node, *Error) {
	p := &jsonParser{
		dec:  jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true)),
		data: data,
		at:   position{1, 1},
	}
	root, err := p.value()
	if err != nil {
		return nil, p.fault(err)
	}
	switch raw, err := p.dec.ReadValue(); {
	case errors.Is(err, io.EOF):
		return root, nil
	case err != nil:
		return nil, p.fault(err)
	default:
		at := p.begin(raw)
		return nil, &Error{Line: at.line, Column: at.column, Message: oneDocument}
	}
}

func (p *jsonParser) value() (*node, error) {
	switch p.dec.PeekKind() {
	case '{':
		return p.object()
	case '[':
		return p.list()
	default: // a string, a number, true, false, null, or an error that ReadValue returns
	}
	raw, err := p.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	n := p.arena.new(scalarNode, p.begin(raw))
	switch raw.Kind() {
	case '"':
		n.kind = textNode
		n.text, err = unquoted(raw)
	case 'n':
		n.kind = nullNode
	default:
		n.text = string(raw)
	}
	return n, err
}

func (p *jsonParser) object() (*node, error) {
	n, err := p.open(mapNode)
	if err != nil {
		return nil, err
	}
	for p.dec.PeekKind() != '}' {
		raw, err := p.dec.ReadValue()
		if err != nil {
			return nil, err
		}
		m := field{position: p.begin(raw), key: textNode}
		if m.name, err = unquoted(raw); err != nil {
			return nil, err
		}
		if m.value, err = p.value(); err != nil {
			return nil, err
		}
		n.fields = append(n.fields, m)
	}
	_, err = p.dec.ReadToken()
	return n, err
}

func (p *jsonParser) list() (*node, error) {
	n, err := p.open(listNode)
	if err != nil {
		return nil, err
	}
	for p.dec.PeekKind() != ']' {
		item, err := p.value()
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	_, err = p.dec.ReadToken()
	return n, err
}

func (p *jsonParser) open(k kind) (*node, error) {
	if _, err := p.dec.ReadToken(); err != nil {
		return nil, err
	}
	return p.arena.new(k, p.moveTo(int(p.dec.InputOffset())-1)), nil
}

func unquoted(raw jsontext.Value) (string, error) {
	if len(raw) < 2 || raw[0] != '"' || bytes.IndexByte(raw, '\\') >= 0 {
		return unescaped(raw)
	}
	text := raw[1 : len(raw)-1]
	for _, name := range recordFields {
		if name == string(text) {
			return name, nil
		}
	}
	return string(text), nil
}

func unescaped(raw jsontext.Value) (string, error) {
	text, err := jsontext.AppendUnquote(nil, raw)
	return string(text), err
}

// begin returns the position at which the last read value begins.
func (p *jsonParser) begin(raw jsontext.Value) position {
	return p.moveTo(int(p.dec.InputOffset()) - len(raw))
}

// moveTo advances to an offset and returns its position. Offsets only increase, so the file is scanned once.
func (p *jsonParser) moveTo(offset int) position {
	offset = min(offset, len(p.data))
	for ; p.offset < offset; p.offset++ {
		if p.data[p.offset] == '\n' {
			p.at = position{p.at.line + 1, 1}
		} else {
			p.at.column++
		}
	}
	return p.at
}

// errorf returns the position of the syntax error. The library's message is not included, since it may contain parts of the
// file.
func (p *jsonParser) fault(err error) *Error {
	offset := len(p.data)
	if se := (*jsontext.SyntacticError)(nil); errors.As(err, &se) {
		offset = int(se.ByteOffset)
	}
	at := p.moveTo(offset)
	message := notJSON
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		message = "unexpected end of the JSON: a closing quote or bracket is missing"
	}
	return &Error{Line: at.line, Column: at.column, Message: message}
}
