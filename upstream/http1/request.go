package http1

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Request is a request to send.
type Request struct {
	Method string
	Target string // path and query, escaped; begins with a slash
	Host   string

	// Header may be shared with other requests. Fields that belong to the connection or that the client sets are ignored: Host, Content-Length,
	// Connection, Transfer-Encoding and others. So is an empty User-Agent. There is no default one.
	Header http.Header

	Body Body // nil: none
}

// Body is the body of a request.
type Body interface {
	// Len is the number of bytes.
	Len() int64
	// View returns the body if it is in memory, and otherwise nil. It is not modified.
	View() []byte
	// Open returns a reader of the whole body. It is used for a body that is not in memory.
	Open() io.ReadCloser
	// Release is called once, when the client no longer needs the body. That may be after Do has returned.
	Release()
}

// check returns an error if the request cannot be written as valid HTTP.
func (r *Request) check() error {
	if !httpguts.ValidHeaderFieldName(r.Method) { // the same characters
		return fmt.Errorf("invalid method %q", r.Method)
	}
	if r.Target == "" || r.Target[0] != '/' {
		return errors.New("the target of the request does not begin with a slash")
	}
	for i := range len(r.Target) {
		if c := r.Target[i]; c <= ' ' || c >= 0x7f {
			return errors.New("the target of the request contains a character that must be escaped")
		}
	}
	if !httpguts.ValidHostHeader(r.Host) {
		return fmt.Errorf("invalid host %q", r.Host)
	}
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("invalid header field name %q", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return fmt.Errorf("invalid value of the header field %q", name) // it may be a credential
			}
		}
	}
	return nil
}

// appendHead appends the request line and the header.
func (r *Request) appendHead(b []byte) []byte {
	b = append(append(append(b, r.Method...), ' '), r.Target...)
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), r.Host...), "\r\n"...)
	for name, values := range r.Header {
		if isReserved(name) {
			continue
		}
		for _, value := range values {
			if value == "" && strings.EqualFold(name, "User-Agent") {
				continue
			}
			b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
		}
	}
	if length := r.length(); length > 0 || r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch {
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), length, 10), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

func (r *Request) length() int64 {
	if r.Body == nil {
		return 0
	}
	return r.Body.Len()
}

// isReserved reports whether a field is not forwarded: the client sets it, or it is about one connection. Most names are not
// compared, since no reserved name has their length.
func isReserved(name string) bool {
	switch len(name) {
	case 2:
		return strings.EqualFold(name, "TE")
	case 4:
		return strings.EqualFold(name, "Host")
	case 7:
		return strings.EqualFold(name, "Trailer") || strings.EqualFold(name, "Upgrade")
	case 10:
		return strings.EqualFold(name, "Connection") || strings.EqualFold(name, "Keep-Alive")
	case 14:
		return strings.EqualFold(name, "Content-Length")
	case 16:
		return strings.EqualFold(name, "Proxy-Connection")
	case 17:
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}
