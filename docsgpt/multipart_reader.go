package docsgpt

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strings"
)

// formBuffer is the size of the read buffer of a form, in bytes.
const formBuffer = 32 << 10

// partReader reads the parts of a form as clients write them. It rejects other input that RFC 2046 and RFC 822 allow or
// parsers tolerate: text around the form, line ends other than CR LF, folded headers, white space after a boundary, and a
// boundary inside a part. Between two calls of next, Read returns the content of one part.
type partReader struct {
	in    *bufio.Reader
	delim []byte // CR LF, two dashes and the boundary
}

func newPartReader(body io.Reader, boundary string) *partReader {
	return &partReader{in: bufio.NewReaderSize(body, formBuffer), delim: []byte("\r\n--" + boundary)}
}

// begin reads up to the end of the first boundary. It accepts one empty line before it.
func (r *partReader) begin() error {
	if begin, err := r.in.Peek(2); err == nil && string(begin) == "\r\n" {
		return r.expect(r.delim)
	}
	return r.expect(r.delim[2:])
}

// expect reads exactly the bytes in want.
func (r *partReader) expect(want []byte) error {
	got, err := r.in.Peek(len(want))
	if err != nil {
		return partError(err)
	}
	if !bytes.Equal(got, want) {
		return errForm
	}
	_, err = r.in.Discard(len(want))
	return err
}

// next reads from a boundary up to the content of the next part. It returns nil after the last part.
func (r *partReader) next() (textproto.MIMEHeader, error) {
	after, err := r.in.Peek(2)
	switch {
	case err != nil:
		return nil, partError(err)
	case string(after) == "--":
		return nil, r.end()
	}
	if err := r.expect([]byte("\r\n")); err != nil {
		return nil, err
	}
	h := textproto.MIMEHeader{}
	for remaining := maxPartHeaders; ; {
		line, err := r.in.ReadSlice('\n')
		if remaining -= len(line); remaining < 0 || errors.Is(err, bufio.ErrBufferFull) {
			return nil, errForm
		}
		if err != nil {
			return nil, partError(err)
		}
		text, ok := strings.CutSuffix(string(line), "\r\n")
		if ok && text == "" {
			// Parsers disagree about a boundary that follows the headers without a line end of its own.
			if begin, _ := r.in.Peek(len(r.delim) - 2); bytes.Equal(begin, r.delim[2:]) {
				return nil, errForm
			}
			return h, nil
		}
		name, value, found := strings.Cut(text, ":")
		if !ok || !found || !isToken(name) {
			return nil, errForm
		}
		h.Add(name, strings.Trim(value, " \t"))
	}
}

// end reads the rest after the last boundary: two dashes and at most one line end.
func (r *partReader) end() error {
	rest, err := r.in.Peek(len("--\r\n") + 1)
	switch {
	case err == nil:
		return errForm
	case !errors.Is(err, io.EOF):
		return partError(err)
	case string(rest) != "--" && string(rest) != "--\r\n":
		return errForm
	}
	return nil
}

// Read reads the content of the current part, and the boundary that ends it.
func (r *partReader) Read(p []byte) (int, error) {
	ahead, err := r.in.Peek(formBuffer)
	safe := len(ahead) - len(r.delim) + 1 // bytes that cannot be the beginning of a boundary
	switch i := bytes.Index(ahead, r.delim); {
	case i == 0:
		if _, err = r.in.Discard(len(r.delim)); err == nil {
			err = io.EOF
		}
		return 0, err
	case i > 0:
		safe = i
	case err != nil:
		return 0, partError(err)
	}
	n := copy(p, ahead[:safe])
	_, err = r.in.Discard(n)
	return n, err
}

// partError adds the step to a read error. An unexpected end of the body is the client's fault.
func partError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w (%w)", errForm, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("reading a form: %w", err)
}
