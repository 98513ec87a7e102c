package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/go-json-experiment/json"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/docsgpt"
)

// streamPath is the path to which the widget sends questions.
const streamPath = "/stream"

// testQueryFunc returns a function that sends a question as the widget does: through a handler of this process, or else to
// publicURL, which is remote. It returns nil if there is neither.
func testQueryFunc(
	forwarders []app.Forwarder, publicURL string,
) (ask func(ctx context.Context, q keyservice.TestQuestion, w io.Writer) (int, error), remote bool) {
	i := slices.IndexFunc(forwarders, func(f app.Forwarder) bool {
		return slices.Contains(f.Groups, docsgpt.GroupWidget)
	})
	switch {
	case i >= 0:
		handler := forwarders[i].Handler
		return func(ctx context.Context, q keyservice.TestQuestion, w io.Writer) (int, error) {
			return testQuery(ctx, handler, q, w)
		}, false
	case publicURL != "":
		return func(ctx context.Context, q keyservice.TestQuestion, w io.Writer) (int, error) {
			return testQueryRemote(ctx, publicURL, q, w)
		}, true
	}
	return nil, false
}

// widgetQuestion returns the request body of the widget.
func widgetQuestion(token, question string) ([]byte, error) {
	return json.Marshal(map[string]any{
		"question": question, "history": "[]", "conversation_id": nil, "model": "default", "api_key": token,
	})
}

// testQuery sends a question through a handler of the gate. It returns the status of the response.
func testQuery(ctx context.Context, handler caddyhttp.MiddlewareHandler, q keyservice.TestQuestion, w io.Writer) (int, error) {
	body, err := widgetQuestion(q.Token, q.Text)
	if err != nil {
		return 0, err
	}
	ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, caddy.NewReplacer())
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{caddyhttp.ClientIPVarKey: q.Address})
	ctx = context.WithValue(ctx, caddyhttp.ExtraLogFieldsCtxKey, new(caddyhttp.ExtraLogFields))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, streamPath, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	if q.Origin != "" {
		r.Header.Set("Origin", q.Origin)
	}
	r.RequestURI, r.RemoteAddr = streamPath, net.JoinHostPort(q.Address, "0")
	out := &testQueryWriter{w: w, header: http.Header{}}
	err = handler.ServeHTTP(out, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })) // never called
	if err == nil {
		err = out.err
	}
	return out.status, err
}

// testQueryWriter is the response writer of a test query.
type testQueryWriter struct {
	w      io.Writer
	header http.Header
	status int
	err    error // of w
}

// Header implements http.ResponseWriter.
func (t *testQueryWriter) Header() http.Header { return t.header }

// WriteHeader implements http.ResponseWriter.
func (t *testQueryWriter) WriteHeader(status int) {
	if t.status == 0 && status >= 200 {
		t.status = status
	}
}

// Write implements http.ResponseWriter.
func (t *testQueryWriter) Write(p []byte) (int, error) {
	t.WriteHeader(http.StatusOK)
	n, err := t.w.Write(p)
	if err != nil {
		t.err = err
	}
	return n, err
}

// Flush implements http.Flusher. It does nothing, since w is not buffered.
func (t *testQueryWriter) Flush() {}

// testQueryRemote sends a question to a gate over the network.
func testQueryRemote(ctx context.Context, publicURL string, q keyservice.TestQuestion, w io.Writer) (int, error) {
	body, err := widgetQuestion(q.Token, q.Text)
	if err != nil {
		return 0, err
	}
	address := strings.TrimSuffix(publicURL, "/") + streamPath
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	if q.Origin != "" {
		r.Header.Set("Origin", q.Origin)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // do not send the token to another address
	}}
	resp, err := client.Do(r)
	if err != nil {
		if cause := (*url.Error)(nil); errors.As(err, &cause) {
			err = cause.Err
		}
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return resp.StatusCode, err
}
