package docsgpttest

import (
	"io"
	"net/http"
	"slices"
	"sync"
)

// maxRecorded is the maximum number of recorded requests.
const maxRecorded = 100

// maxBodyBytes limits the recorded body of a request; the rest is ignored.
const maxBodyBytes = 64 << 20

// Call is one recorded request.
type Call struct {
	Method           string
	Path             string // as in the request line, escaped
	RawQuery         string
	Host             string
	Header           http.Header
	Body             []byte   // the bytes that were sent, even if the backend reads the body as empty
	ContentLength    int64    // -1: unknown
	TransferEncoding []string // chunked, or nil
	RemoteAddr       string
	Canceled         bool // the client disconnected before the end of the response
}

// request is a request whose body has been read.
type request struct {
	*http.Request
	body []byte // as seen by Flask: empty with chunked transfer encoding
	sent []byte // as it was sent
}

// recorder stores the last calls. The zero value is ready to use.
type recorder struct {
	mu    sync.Mutex
	calls []*Call
}

// record reads the body and records the request. The returned function must be called after the response.
func (c *recorder) record(r *http.Request) (*request, func()) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBodyBytes))
	call := &Call{
		Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Host: r.Host, Header: r.Header.Clone(),
		Body: body, ContentLength: r.ContentLength, TransferEncoding: slices.Clone(r.TransferEncoding),
		RemoteAddr: r.RemoteAddr, Canceled: err != nil,
	}
	c.mu.Lock()
	if len(c.calls) >= maxRecorded {
		c.calls = slices.Delete(c.calls, 0, len(c.calls)-maxRecorded+1)
	}
	c.calls = append(c.calls, call)
	c.mu.Unlock()

	req := &request{Request: r, body: body, sent: body}
	if len(r.TransferEncoding) > 0 {
		req.body = nil
	}
	return req, func() {
		if r.Context().Err() == nil {
			return
		}
		c.mu.Lock()
		call.Canceled = true
		c.mu.Unlock()
	}
}

func (c *recorder) list() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]Call, len(c.calls))
	for i, call := range c.calls {
		list[i] = *call
	}
	return list
}

func (c *recorder) reset() {
	c.mu.Lock()
	c.calls = nil
	c.mu.Unlock()
}

// json decodes the body as Flask does: it checks the content type, then decodes UTF-8, UTF-16 or UTF-32. On failure it writes
// the error response and returns false. html: errors of the framework are HTML pages on this endpoint.
func (r *request) json(w http.ResponseWriter, html bool) (value any, ok bool) {
	if !isJSON(r.Header.Values("Content-Type")) {
		writeUnsupportedMediaType(w, html)
		return nil, false
	}
	value, err := decodeJSON(r.body)
	if err != nil {
		writeBadRequest(w, html)
		return nil, false
	}
	return value, true
}
