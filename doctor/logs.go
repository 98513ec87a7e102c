package doctor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"time"
)

// checkLogs checks that logs contain no keys: by the encoders in the configuration, and by the content of log files after requests
// with a random key.
func (x *runner) checkLogs(ctx context.Context) {
	if x.input.Config == "" {
		return
	}
	for _, g := range x.input.Gates {
		if g.LogsCredentials {
			x.fail("log.credentials",
				fmt.Sprintf("The access log of %s contains the keys of OpenAI and MCP clients: log_credentials is enabled.", g.String()),
				"Remove log_credentials from the servers options.")
		}
		if g.Traces {
			x.fail("log.trace",
				fmt.Sprintf("The server of %s has trace enabled, which writes the configuration of handlers to the log.", g.String()),
				"Remove trace from the servers options.")
		}
	}
	for _, l := range x.input.Logs {
		if !l.Redacted {
			x.warn("log.format",
				fmt.Sprintf("The log %q records requests without the encoder docsgate, so it may contain the keys of clients.", l.Name),
				"Add format docsgate to this log; the log of failed requests is log default in the global options.")
		}
	}
	if x.worst("log.format") == "" && len(x.input.Logs) > 0 {
		x.ok("log.format", "All logs of requests have the encoder docsgate, which removes keys.")
	}
	x.checkLogFiles(ctx)
}

// logTimeout is how long the doctor waits for a request to appear in a log file.
const logTimeout = 3 * time.Second

// checkLogFiles sends a random key in the places that Caddy does not redact by default, and searches the log files for it.
func (x *runner) checkLogFiles(ctx context.Context) {
	var files []*tail
	for _, l := range x.input.Logs {
		if l.File == "" {
			continue
		}
		if t := newTail(l.File); t != nil {
			t.awaited = l.Access
			files = append(files, t)
		}
	}
	if len(files) == 0 || x.outside == nil {
		switch {
		case len(x.input.Logs) == 0 || x.outside == nil:
		case x.worst("log.format") == OK && x.input.Running == RunningThis:
			x.ok("log.leak", "Logs contain no keys, according to the encoder of each log; none is a file that the doctor can read.")
		default:
			x.unknown("log.leak",
				"Whether logs contain keys is unknown: no log is a file that the doctor can read.",
				"Send a request with a random key in ?api_key=, and search the logs for it.")
		}
		return
	}
	token := randomToken()
	for _, q := range []request{
		{method: http.MethodGet, path: "/v1/models", header: http.Header{"X-Api-Key": {token}}},
		{method: http.MethodGet, path: "/v1/models", header: http.Header{"Api-Key": {token}}},
		{method: http.MethodPost, path: "/stream?" + url.Values{"api_key": {token}}.Encode(), body: map[string]any{"question": "?"}},
		{method: http.MethodGet, path: "/v1/models?" + url.Values{"key": {token}, "token": {token}}.Encode()},
		{method: http.MethodGet, path: "/v1/models", header: bearer(token)},
		{method: http.MethodGet, path: "/v1/models?" + url.Values{"API_KEY": {token}, "apiKey": {token}}.Encode()},
		{method: http.MethodGet, path: "/stream%3Fapi_key=" + token, header: http.Header{"X-Key": {token}}},
	} {
		if _, err := x.ask(ctx, q); err != nil {
			return
		}
	}
	// The User-Agent of the last request has a mark; when that is logged, all requests are.
	end := randomMark()
	_, _ = x.outside.send(ctx, x.agent+" "+end, request{method: http.MethodGet, path: "/v1/models"})
	waitFor(ctx, files, end)
	logged := false
	for _, t := range files {
		switch {
		case t.contains(token):
			x.fail("log.leak",
				fmt.Sprintf("A key in a header or in the URL of a request was written to %s.", t.path),
				"Add format docsgate to the log, remove the keys from this file, and rotate the keys that it contained.")
			logged = true
		case t.contains(end):
			x.ok("log.leak", fmt.Sprintf("Requests are logged to %s without their keys.", t.path))
			logged = true
		}
	}
	if !logged {
		x.unknown("log.leak", "Whether logs contain keys is unknown: the doctor's requests do not appear in any log file.",
			"Check that the running gate uses this configuration and logs these requests.")
	}
}

// randomMark returns a text for a User-Agent that, unlike a token, is logged.
func randomMark() string { return fmt.Sprintf("mark/%d", rand.Uint64()) } //nolint:gosec // not a secret

// waitFor waits until a text is in one of the files, then a little longer for the other access logs, which may belong to other
// sites.
func waitFor(ctx context.Context, files []*tail, text string) {
	deadline := time.Now().Add(logTimeout)
	for first := true; time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		arrived, missing := 0, 0
		for _, t := range files {
			switch {
			case t.contains(text):
				arrived++
			case t.awaited:
				missing++
			}
		}
		switch {
		case arrived > 0 && missing == 0:
			return
		case arrived > 0 && first:
			first, deadline = false, time.Now().Add(logTimeout/10)
		}
	}
}

// tail is the part of a file that was written since newTail.
type tail struct {
	path    string
	begin   int64
	awaited bool // it is an access log
}

// newTail returns nil if the file cannot be read or is not a regular file.
func newTail(path string) *tail {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return &tail{path: path, begin: info.Size()}
}

func (t *tail) contains(text string) bool {
	f, err := os.Open(t.path)
	if err != nil {
		return false
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() >= t.begin { // otherwise the log was rotated
		_, _ = f.Seek(t.begin, io.SeekStart)
	}
	data, _ := io.ReadAll(io.LimitReader(f, 32<<20))
	return bytes.Contains(data, []byte(text))
}
