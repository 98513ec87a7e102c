package filefeed

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

const notJSON = `this is not JSON: look for a missing or surplus comma, quote or bracket here ` +
	`(a file that begins with "{" is read as JSON)`

// looksLikeJSON reports whether the first byte that is not blank opens an object.
func looksLikeJSON(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && data[0] == '{'
}

// jsonParser reads JSON into nodes and knows where each begins.
type jsonParser struct {
	dec  *jsontext.Decoder
	data []byte

	at     position // of the byte at offset
	offset int
}

// parseJSON reads exactly one JSON value. Repeated names are let through here: they are a fault of the record, with a line.
func parseJSON(data []byte) (*node, *Fault) {
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
		return nil, &Fault{Line: at.line, Column: at.column, Message: oneDocument}
	}
}

func (p *jsonParser) value() (*node, error) {
	switch p.dec.PeekKind() {
	case '{':
		return p.object()
	case '[':
		return p.list()
	default: // a text, a number, true, false, null, or a fault that the next line finds
	}
	raw, err := p.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	n := &node{position: p.begin(raw)}
	switch raw.Kind() {
	case '"':
		n.kind = textNode
		n.text, err = unquoted(raw)
	case 'n':
		n.kind = nullNode
	default:
		n.kind = scalarNode
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
		m := member{position: p.begin(raw), key: textNode}
		if m.name, err = unquoted(raw); err != nil {
			return nil, err
		}
		if m.value, err = p.value(); err != nil {
			return nil, err
		}
		n.members = append(n.members, m)
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
	return &node{position: p.moveTo(int(p.dec.InputOffset()) - 1), kind: k}, nil
}

func unquoted(raw jsontext.Value) (string, error) {
	text, err := jsontext.AppendUnquote(nil, raw)
	return string(text), err
}

// begin is where the value begins that was read last.
func (p *jsonParser) begin(raw jsontext.Value) position {
	return p.moveTo(int(p.dec.InputOffset()) - len(raw))
}

// moveTo counts lines up to an offset. Offsets only grow, so the file is gone through once.
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

// fault says where the JSON ends to be JSON. The library's own text may repeat pieces of the file, so it is not shown.
func (p *jsonParser) fault(err error) *Fault {
	offset := len(p.data)
	if se := (*jsontext.SyntacticError)(nil); errors.As(err, &se) {
		offset = int(se.ByteOffset)
	}
	at := p.moveTo(offset)
	message := notJSON
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		message = "the JSON ends too early: a closing quote or bracket is missing"
	}
	return &Fault{Line: at.line, Column: at.column, Message: message}
}
