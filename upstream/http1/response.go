package http1

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Limits of responses.
const (
	maxHead          = 64 << 10 // bytes of the status line and the header
	maxFields        = 256      // of the header
	maxInformational = 5        // responses before the final one, as in net/http
)

// ProtocolError is returned for a response that is not valid, or that the client does not accept.
type ProtocolError struct{ text string }

func (e *ProtocolError) Error() string { return "malformed HTTP response: " + e.text }

func malformed(text string) error { return &ProtocolError{text} }

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// response is a response and its body in one allocation.
type response struct {
	http.Response

	body body
}

// readResponse reads the header of the response to a request with the method.
func readResponse(c *conn, method string, until time.Time) (*response, error) {
	for range maxInformational + 1 {
		head, fields, err := readHead(c, until)
		if err != nil {
			return nil, err
		}
		resp, err := parseHead(string(head), fields)
		switch {
		case err != nil:
			return nil, err
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, malformed("another protocol")
		case resp.StatusCode < 200:
			continue
		}
		resp.body.conn = c
		return resp, resp.setFraming(method)
	}
	return nil, malformed("too many informational responses")
}

var statusLineBegin = []byte("HTTP/1.")

// readHead reads the status line and the header, without the blank line at its end. The result is valid until the next fill.
func readHead(c *conn, until time.Time) (head []byte, fields int, err error) {
	line, scanned := 0, 0 // the beginning of the current line, and what was searched for line ends
	for fields = -1; ; {  // without the status line
		b := c.buffered()
		if begin := b[:min(len(b), len(statusLineBegin))]; !bytes.HasPrefix(statusLineBegin, begin) {
			return nil, 0, malformed("it does not begin with a version of HTTP/1")
		}
		for {
			i := bytes.IndexByte(b[scanned:], '\n')
			if i < 0 {
				break
			}
			end := scanned + i
			scanned = end + 1
			switch {
			case scanned > maxHead:
				return nil, 0, malformed("the header is too large")
			case end == line || b[end-1] != '\r':
				return nil, 0, malformed("a line does not end with CRLF")
			case end-1 == line:
				c.start += scanned
				return b[:line], fields, nil
			}
			line = scanned
			if fields++; fields > maxFields {
				return nil, 0, malformed("the header has too many fields")
			}
		}
		if scanned = len(b); scanned > maxHead {
			return nil, 0, malformed("the header is too large")
		}
		if err := c.fill(until); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, 0, err
		}
	}
}

// parseHead parses lines that end with CRLF. All strings of the response share the memory of head.
func parseHead(head string, fields int) (*response, error) {
	resp := &response{}
	line, rest, _ := strings.Cut(head, "\r\n")
	if err := resp.parseStatus(line); err != nil {
		return nil, err
	}
	resp.Header = make(http.Header, fields)
	values := make([]string, 0, fields)
	for rest != "" {
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, ok := parseField(line)
		if !ok {
			return nil, malformed("invalid header field")
		}
		if prior, ok := resp.Header[name]; ok {
			resp.Header[name] = append(prior, value)
			continue
		}
		n := len(values)
		values = append(values, value)
		resp.Header[name] = values[n : n+1 : n+1]
	}
	if pragma := resp.Header["Pragma"]; len(pragma) > 0 && pragma[0] == "no-cache" && resp.Header["Cache-Control"] == nil {
		resp.Header["Cache-Control"] = []string{"no-cache"} // as net/http does
	}
	return resp, nil
}

// parseStatus parses "HTTP/1.1 200 OK". The reason may be missing.
func (r *response) parseStatus(line string) error {
	const begin = len("HTTP/1.1 ")
	if len(line) < begin+3 || line[begin-1] != ' ' || line[begin-2] != '0' && line[begin-2] != '1' {
		return malformed("invalid status line")
	}
	r.Proto, r.ProtoMajor, r.ProtoMinor = line[:begin-1], 1, int(line[begin-2]-'0')
	r.Status = line[begin:]
	code, reason := r.Status[:3], r.Status[3:]
	var err error
	if r.StatusCode, err = strconv.Atoi(code); err != nil || r.StatusCode < 100 {
		return malformed("invalid status code")
	}
	if reason != "" && reason[0] != ' ' || !httpguts.ValidHeaderFieldValue(reason) {
		return malformed("invalid status line")
	}
	return nil
}

// parseField parses "Name: value", and returns the canonical name.
func parseField(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	if !ok || !httpguts.ValidHeaderFieldName(name) {
		return "", "", false
	}
	value = strings.Trim(value, " \t")
	if !httpguts.ValidHeaderFieldValue(value) {
		return "", "", false
	}
	if canonical, ok := commonNames[name]; ok {
		return canonical, value, true
	}
	return textproto.CanonicalMIMEHeaderKey(name), value, true
}

// commonNames are canonical forms that net/textproto would allocate for each response. Servers of Python send them in lower case.
var commonNames = map[string]string{
	"access-control-allow-credentials": "Access-Control-Allow-Credentials",
	"access-control-allow-headers":     "Access-Control-Allow-Headers",
	"access-control-allow-methods":     "Access-Control-Allow-Methods",
	"access-control-allow-origin":      "Access-Control-Allow-Origin",
	"x-accel-buffering":                "X-Accel-Buffering",
	"x-request-id":                     "X-Request-Id",
}
