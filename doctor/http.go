package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	dialTimeout    = 4 * time.Second
	defaultTimeout = 15 * time.Second // for responses that do not involve a model
	maxResponse    = 8 << 20
)

// anyOrigin is the Origin of requests if Options.Page is empty.
const anyOrigin = "https://docsgate-doctor.invalid"

// target is a server with the client that reaches it.
type target struct {
	base   string // scheme://host[:port][/path]
	client *http.Client
}

// newTarget returns a target. If dial has a network and an address, connections go there in place of base's host.
func newTarget(base string, settings *tls.Config, dial ...string) *target {
	dialer := net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{
		TLSClientConfig: settings, TLSHandshakeTimeout: dialTimeout, DisableCompression: true,
		DisableKeepAlives: true, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if len(dial) == 2 {
				network, address = dial[0], dial[1]
			}
			return dialer.DialContext(ctx, network, address)
		},
	}
	return &target{base: strings.TrimRight(base, "/"), client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// response is a response whose body was read completely.
type response struct {
	status int
	header http.Header
	body   []byte
	timing timing
}

// timing says when the body of a response arrived.
type timing struct {
	first, last time.Duration // first and last byte, since the request was sent
	pieces      int           // number of reads
	events      int           // number of "data:" lines
	hasLength   bool          // has a Content-Length
}

func (t timing) spread() time.Duration { return t.last - t.first }

// request is a request to a target. The body, unless nil, is sent as JSON.
type request struct {
	method, path string
	body         any
	header       http.Header
	timeout      time.Duration // zero: defaultTimeout
}

func (t *target) send(ctx context.Context, agent string, q request) (*response, error) {
	if q.timeout == 0 {
		q.timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	var body io.Reader
	if q.body != nil {
		text, err := json.Marshal(q.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, q.method, t.base+q.path, body)
	if err != nil {
		return nil, unwrapURLError(err)
	}
	r.Header.Set("User-Agent", agent)
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	sent := time.Now()
	resp, err := t.client.Do(r)
	if err != nil {
		return nil, unwrapURLError(err)
	}
	defer resp.Body.Close()
	a := &response{status: resp.StatusCode, header: resp.Header}
	a.timing.hasLength = resp.ContentLength >= 0
	err = a.read(resp.Body, sent)
	return a, unwrapURLError(err)
}

func (a *response) read(from io.Reader, sent time.Time) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			a.timing.last = time.Since(sent)
			if a.timing.pieces == 0 {
				a.timing.first = a.timing.last
			}
			a.timing.pieces++
			a.body = append(a.body, buffer[:n]...)
		}
		switch {
		case errors.Is(err, io.EOF):
			a.timing.events = bytes.Count(a.body, []byte("data:"))
			return nil
		case err != nil:
			return err
		case len(a.body) > maxResponse:
			return errors.New("the response is larger than 8 MiB")
		}
	}
}

// unwrapURLError removes the URL from an error: findings name the address anyway, and the URL may contain secrets.
func unwrapURLError(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// media returns the media type of a response in lower case, or "no Content-Type".
func (a *response) media() string {
	media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	if media == "" {
		return "no Content-Type"
	}
	return strings.ToLower(strings.TrimSpace(media))
}

// errorResponse is an error response of the gate, from any of its formats.
type errorResponse struct {
	Type    string
	Error   string
	Message string
	Code    string
	ID      string
}

// errorResponse parses a response as an error response of the gate; ok is false if it is not one.
func (a *response) errorResponse() (r errorResponse, ok bool) {
	text := bytes.TrimSpace(a.body)
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("data:")))
	var flat struct {
		Type    string          `json:"type"`
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Code    string          `json:"code"`
		ID      string          `json:"request_id"`
	}
	if json.Unmarshal(text, &flat) != nil {
		return errorResponse{}, false
	}
	r = errorResponse{Type: flat.Type, Message: flat.Message, Code: flat.Code, ID: flat.ID}
	if json.Unmarshal(flat.Error, &r.Error) != nil {
		inner := flat
		if json.Unmarshal(flat.Error, &inner) != nil {
			return errorResponse{}, false
		}
		r.Message, r.Code, r.ID = inner.Message, inner.Code, inner.ID
	}
	return r, r.Code != "" && r.ID != ""
}
