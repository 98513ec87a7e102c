package filefeed

import (
	"bufio"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// json decodes a key file in JSON.
func (s *stream) json(in *bufio.Reader) error {
	p := &jsonParser{dec: jsontext.NewDecoder(in, jsontext.AllowDuplicateNames(true)), at: position{1, 1}, arena: &s.arena}
	for _, want := range []jsontext.Kind{'{', '"', '['} {
		token, err := p.dec.ReadToken()
		if err != nil {
			return err
		}
		if token.Kind() != want || want == '"' && token.String() != "keys" {
			return errNotStreamed
		}
	}
	for p.dec.PeekKind() != ']' {
		s.arena.reset()
		n, err := p.value()
		if err != nil {
			return err
		}
		if err := s.add(n); err != nil {
			return err
		}
	}
	for _, want := range []jsontext.Kind{']', '}'} {
		if token, err := p.dec.ReadToken(); err != nil || token.Kind() != want {
			return errors.Join(errNotStreamed, err)
		}
	}
	if _, err := p.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.Join(errNotStreamed, err)
	}
	return nil
}
