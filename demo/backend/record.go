package backend

import (
	"io"
	"net/http"
	"slices"
	"sync"
)

// keptCalls is how many requests are remembered.
const keptCalls = 100

// maxBodyBytes bounds what is read of one request.
const maxBodyBytes = 64 << 20

// Call is one request as it arrived.
type Call struct {
	Method           string
	Path             string // as it stood in the request line, still escaped
	RawQuery         string
	Host             string
	Header           http.Header
	Body             []byte   // the bytes that were sent, also where the backend reads them as empty
	ContentLength    int64    // -1: none was sent
	TransferEncoding []string // chunked, or nil
	RemoteAddr       string
	Cancelled        bool // the client went away before the end of the answer
}

// request is a request whose body has been read.
type request struct {
	*http.Request
	body []byte // what Flask sees: empty if it was sent in chunks
	sent []byte
}

// recorder keeps the last calls. The zero value is ready.
type recorder struct {
	mu    sync.Mutex
	calls []*Call
}

// record reads the body and remembers the request. The returned function says that the answer is over.
func (c *recorder) record(r *http.Request) (*request, func()) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBodyBytes))
	seen := &Call{
		Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Host: r.Host, Header: r.Header.Clone(),
		Body: body, ContentLength: r.ContentLength, TransferEncoding: slices.Clone(r.TransferEncoding),
		RemoteAddr: r.RemoteAddr, Cancelled: err != nil,
	}
	c.mu.Lock()
	if len(c.calls) >= keptCalls {
		c.calls = slices.Delete(c.calls, 0, len(c.calls)-keptCalls+1)
	}
	c.calls = append(c.calls, seen)
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
		seen.Cancelled = true
		c.mu.Unlock()
	}
}

func (c *recorder) list() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]Call, len(c.calls))
	for i, seen := range c.calls {
		list[i] = *seen
	}
	return list
}

func (c *recorder) reset() {
	c.mu.Lock()
	c.calls = nil
	c.mu.Unlock()
}

// json reads the body as Flask does: by the content type, then as UTF-8, UTF-16 or UTF-32. On failure it answers and
// gives false. html: this endpoint's framework errors are HTML pages.
func (r *request) json(w http.ResponseWriter, html bool) (value any, ok bool) {
	if !isJSON(r.Header.Values("Content-Type")) {
		refuseContentType(w, html)
		return nil, false
	}
	value, err := decodeJSON(r.body)
	if err != nil {
		refuseBody(w, html)
		return nil, false
	}
	return value, true
}
