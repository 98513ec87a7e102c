package docsgpt

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Parsers and the memory that they keep for the next request.
const keptText = 4 << 20

// newNested returns a parser without a text; see load and loadText.
func newNested() *parser {
	return parsers.Get().(*parser)
}

// load makes p read a copy of raw, so that raw may be written over. Unlike at the top level, no name may stand twice in
// any object.
func (p *parser) load(raw []byte) {
	p.text = append(p.text[:0], raw...)
	p.begin()
}

// loadText makes p read the JSON text that the JSON string raw holds.
func (p *parser) loadText(raw []byte) error {
	text, err := jsontext.AppendUnquote(p.text[:0], raw)
	if err != nil {
		return errSyntax
	}
	p.text = text
	p.begin()
	return nil
}

func (p *parser) begin() {
	p.reader = *bytes.NewBuffer(p.text)
	p.decoder.Reset(&p.reader, jsontext.AllowDuplicateNames(false))
}

// value reads a value. It lies in p.text, and is valid until the next load.
func (p *parser) value() ([]byte, error) {
	v, err := p.decoder.ReadValue()
	if err != nil {
		return nil, err
	}
	end := int(p.decoder.InputOffset())
	return p.text[end-len(v) : end], nil
}

// open reads the bracket that opens a list or an object, or the one that closes it.
func (p *parser) bracket() error {
	_, err := p.decoder.ReadToken()
	return err
}

// end reads the end of the text.
func (p *parser) end() error {
	if _, err := p.decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return errSyntax
	}
	return nil
}

// each reads an object and calls do with each name; do must read the value.
func (p *parser) each(do func(name []byte) error) error {
	if err := p.bracket(); err != nil {
		return err
	}
	for p.decoder.PeekKind() != '}' {
		raw, err := p.value()
		if err != nil {
			return err
		}
		name, err := unquote(raw)
		if err != nil {
			return err
		}
		if err := do(name); err != nil {
			return err
		}
	}
	return p.bracket()
}

// nestedError says what is wrong inside a member. Its text is meant for the client.
type nestedError struct {
	path string // behind the member's name, such as "[2].prompt"
	what string
}

func (e *nestedError) Error() string { return e.path + " " + e.what }

func fault(format string, args ...any) error { return &nestedError{what: fmt.Sprintf(format, args...)} }

// inItem and inMember add the place of a value to what is wrong in it.
func inItem(err error, i int) error { return within(err, fmt.Sprintf("[%d]", i)) }

func inMember(err error, name string) error { return within(err, "."+name) }

func within(err error, place string) error {
	var nested *nestedError
	if errors.As(err, &nested) {
		return &nestedError{place + nested.path, nested.what}
	}
	return err
}

// nestedFailure is the error for a member in which something is wrong. It keeps our own sentences, and hides the
// decoder's, which name places in a part of the body.
func nestedFailure(member string, err error) error {
	var nested *nestedError
	switch {
	case errors.As(err, &nested):
		return fmt.Errorf("the member %q is not valid: %s%w", member, member, nested)
	case errors.Is(err, jsontext.ErrDuplicateName):
		return errDuplicate
	default:
		var syntax *jsontext.SyntacticError
		if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return errSyntax
		}
		return err
	}
}
