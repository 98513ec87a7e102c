package docsgpt

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// keptText is the largest buffer, in bytes, that a pooled parser keeps.
const keptText = 4 << 20

// newNested returns a parser without a text; call load or loadText next.
func newNested() *parser {
	return parsers.Get().(*parser)
}

// load makes p read a copy of raw, so that raw can be overwritten. Unlike at the top level, duplicate names are errors in
// every object.
func (p *parser) load(raw []byte) {
	p.text = append(p.text[:0], raw...)
	p.begin()
}

// loadText makes p read the JSON text inside the JSON string raw.
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

// value reads a value. It is a slice of p.text, and valid until the next load.
func (p *parser) value() ([]byte, error) {
	v, err := p.decoder.ReadValue()
	if err != nil {
		return nil, err
	}
	end := int(p.decoder.InputOffset())
	return p.text[end-len(v) : end], nil
}

// bracket reads the opening or closing bracket of a list or an object.
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

// each reads an object and calls do for each name; do must read the value.
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

// nestedError describes a fault inside a field. Its text is for the client.
type nestedError struct {
	path string // after the field's name, such as "[2].prompt"
	what string
}

func (e *nestedError) Error() string { return e.path + " " + e.what }

func fault(format string, args ...any) error { return &nestedError{what: fmt.Sprintf(format, args...)} }

// inItem and inField prepend the index or name of a value to the path of an error in it.
func inItem(err error, i int) error { return within(err, fmt.Sprintf("[%d]", i)) }

func inField(err error, name string) error { return within(err, "."+name) }

func within(err error, place string) error {
	var nested *nestedError
	if errors.As(err, &nested) {
		return &nestedError{place + nested.path, nested.what}
	}
	return err
}

// nestedFailure returns the error for a field whose value is not valid. It keeps the texts of this package and hides the
// decoder's, whose offsets refer to a part of the body.
func nestedFailure(field string, err error) error {
	var nested *nestedError
	switch {
	case errors.As(err, &nested):
		return fmt.Errorf("the field %q is not valid: %s%w", field, field, nested)
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
