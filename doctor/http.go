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
	dialPatience  = 4 * time.Second
	shortPatience = 15 * time.Second // for answers that need no model
	maxReply      = 8 << 20
)

// anyOrigin is the web page that requests claim to come from, where no page was named.
const anyOrigin = "https://docsgate-doctor.invalid"

// target is a server, and how it is reached.
type target struct {
	base   string // scheme://host[:port][/path]
	client *http.Client
}

// newTarget returns a target; connections go to dial, a network and an address, if it is not empty.
func newTarget(base string, settings *tls.Config, dial ...string) *target {
	dialer := net.Dialer{Timeout: dialPatience}
	transport := &http.Transport{
		TLSClientConfig: settings, TLSHandshakeTimeout: dialPatience, DisableCompression: true,
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

// response is an answer, read to its end.
type response struct {
	status int
	header http.Header
	body   []byte
	timing timing
}

// timing is when an answer came.
type timing struct {
	first, last time.Duration // of its body, from the request's beginning
	pieces      int           // how often something came
	events      int           // "data:" lines
	counted     bool          // it said its length in advance
}

func (t timing) spread() time.Duration { return t.last - t.first }

// request is what is asked. A body that is no []byte is sent as JSON.
type request struct {
	method, path string
	body         any
	header       http.Header
	patience     time.Duration // zero: for an answer that needs no model
}

func (t *target) send(ctx context.Context, agent string, q request) (*response, error) {
	if q.patience == 0 {
		q.patience = shortPatience
	}
	ctx, cancel := context.WithTimeout(ctx, q.patience)
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
	begun := time.Now()
	resp, err := t.client.Do(r)
	if err != nil {
		return nil, unwrapURLError(err)
	}
	defer resp.Body.Close()
	a := &response{status: resp.StatusCode, header: resp.Header}
	a.timing.counted = resp.ContentLength >= 0
	err = a.read(resp.Body, begun)
	return a, unwrapURLError(err)
}

func (a *response) read(from io.Reader, begun time.Time) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			a.timing.last = time.Since(begun)
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
		case len(a.body) > maxReply:
			return errors.New("the answer is larger than 8 MiB")
		}
	}
}

// unwrapURLError takes the address out of an error of a request: sentences name it, and it may hold more than they should.
func unwrapURLError(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// media is the media type of an answer.
func (a *response) media() string {
	media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	if media == "" {
		return "no Content-Type"
	}
	return strings.ToLower(strings.TrimSpace(media))
}

// refusal is a refusal of the gate, in any of its shapes.
type refusal struct {
	Type    string
	Error   string
	Message string
	Code    string
	ID      string
}

// refusal reads an answer as a refusal of the gate; ok is false if it is none.
func (a *response) refusal() (r refusal, ok bool) {
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
		return refusal{}, false
	}
	r = refusal{Type: flat.Type, Message: flat.Message, Code: flat.Code, ID: flat.ID}
	if json.Unmarshal(flat.Error, &r.Error) != nil {
		inner := flat
		if json.Unmarshal(flat.Error, &inner) != nil {
			return refusal{}, false
		}
		r.Message, r.Code, r.ID = inner.Message, inner.Code, inner.ID
	}
	return r, r.Code != "" && r.ID != ""
}
