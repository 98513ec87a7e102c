package docsgpt

import (
	"bytes"
	"errors"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

var errMessageParts = errors.New("messages may hold text only: images, files and other parts are not accepted")

// Members of a message that DocsGPT gets to see. With calls of tools in its messages a request counts as one that goes on
// after them: DocsGPT then hands the messages to the model as they are, a system message of the client's included, and
// searches for nothing. A conversation that a message names ("docsgpt") is gone on with, whoever's it is.
var (
	messageMembers = []string{"role", "content", "name"}
	toolMembers    = []string{"tool_calls", "tool_call_id"}
)

// passes tells whether a member of a message stays in it.
func (m *Member) passes(name string) bool {
	return slices.Contains(messageMembers, name) || m.Tools && slices.Contains(toolMembers, name)
}

// checkMessages tests that each message's content is text, unless the operator allows more, and takes everything out of
// the messages that DocsGPT is not to see. Other parts (images, files) would be stored among the owner's attachments and
// reach the model beside the source that the key is bound to.
func (m *Member) checkMessages(raw []byte) error {
	others := false
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	if _, err := d.ReadToken(); err != nil {
		return errSyntax
	}
	for d.PeekKind() != ']' {
		if d.PeekKind() != '{' {
			return errors.New("each of the messages must be an object")
		}
		if err := eachMember(d, func(name string) error {
			others = others || !m.passes(name)
			if name != "content" || m.Parts {
				return d.SkipValue()
			}
			return checkContent(d)
		}); err != nil {
			return messageError(err)
		}
	}
	if !others {
		return nil
	}
	return m.keepPassing(raw)
}

// keepPassing takes all members out of the messages that do not pass, in place: the room that is left is filled with
// blanks. What stays is as it was, to the byte.
func (m *Member) keepPassing(raw []byte) error {
	d := jsontext.NewDecoder(bytes.NewReader(bytes.Clone(raw)))
	if _, err := d.ReadToken(); err != nil {
		return errSyntax
	}
	out := append(raw[:0], '[') // never longer than what was read: names in their shortest spelling, no blanks
	for d.PeekKind() != ']' {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, '{')
		begin := len(out)
		if err := eachMember(d, func(name string) error {
			value, err := d.ReadValue()
			if err != nil || !m.passes(name) {
				return err
			}
			if len(out) > begin {
				out = append(out, ',')
			}
			out = append(append(append(out, '"'), name...), '"', ':')
			out = append(out, value...)
			return nil
		}); err != nil {
			return messageError(err)
		}
		out = append(out, '}')
	}
	out = append(out, ']')
	for i := len(out); i < len(raw); i++ {
		raw[i] = ' '
	}
	return nil
}

func checkContent(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case '"', 'n':
		return d.SkipValue()
	case '[':
	default:
		return errMessageParts
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != ']' {
		if d.PeekKind() != '{' {
			return errMessageParts
		}
		text := false
		if err := eachMember(d, func(name string) error {
			value, err := d.ReadValue()
			switch name {
			case "type":
				text = string(value) == `"text"`
			case "text":
				if value.Kind() != '"' {
					return errMessageParts
				}
			default:
				return errMessageParts
			}
			return err
		}); err != nil {
			return err
		}
		if !text {
			return errMessageParts
		}
	}
	_, err := d.ReadToken()
	return err
}

// messageError keeps our own sentence and hides the decoder's, which names offsets into a part of the body.
func messageError(err error) error {
	if errors.Is(err, errMessageParts) {
		return err
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return errDuplicate
	}
	return errSyntax
}
