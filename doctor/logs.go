package doctor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// checkLogs tells whether logs keep keys out: by what the configuration says, and by what stands in a log file after a
// request with a made-up key.
func (x *runner) checkLogs(ctx context.Context) {
	if x.facts.Config == "" {
		return
	}
	for _, g := range x.facts.Gates {
		if g.LogsCredentials {
			x.fail("log.credentials",
				fmt.Sprintf("The access log of %s holds the keys of OpenAI and MCP clients: log_credentials is on.", g.String()),
				"Remove log_credentials from the servers options.")
		}
		if g.Traces {
			x.fail("log.trace",
				fmt.Sprintf("The server of %s has trace on, which writes the settings of handlers to the log.", g.String()),
				"Remove trace from the servers options.")
		}
	}
	for _, l := range x.facts.Logs {
		if len(l.Missing) > 0 {
			x.warn("log.filter",
				fmt.Sprintf("The log %q writes requests down without a filter for %s, where clients may put keys.",
					l.Name, strings.Join(l.Missing, ", ")),
				"Take over the filters of the sample Caddyfile, for the site's log and for the default one.")
		}
	}
	if x.worst("log.filter") == "" && len(x.facts.Logs) > 0 {
		x.ok("log.filter", "All logs of requests have filters for keys.")
	}
	x.checkLogFiles(ctx)
}

// logPatience is how long a line may take to get into a file.
const logPatience = 3 * time.Second

// checkLogFiles sends a made-up key in the places that Caddy does not take out by itself, and looks into the files.
func (x *runner) checkLogFiles(ctx context.Context) {
	var files []*tail
	for _, l := range x.facts.Logs {
		if l.File == "" {
			continue
		}
		if t := newTail(l.File); t != nil {
			t.awaited = l.Access
			files = append(files, t)
		}
	}
	if len(files) == 0 || x.outside == nil {
		if len(x.facts.Logs) > 0 && x.outside != nil {
			x.unknown("log.leak",
				"No log goes to a file that can be read here, so it could not be seen what is written.",
				"Send a request with a made-up key in ?api_key=, and look for it where the logs go.")
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
	} {
		if _, err := x.ask(ctx, q); err != nil {
			return
		}
	}
	// The last request is marked, so that it is known when all of them are written.
	end := randomToken()
	_, _ = x.outside.send(ctx, x.agent+" "+end, request{method: http.MethodGet, path: "/v1/models"})
	waitFor(ctx, files, end)
	seen := false
	for _, t := range files {
		switch {
		case t.holds(token):
			x.fail("log.leak",
				fmt.Sprintf("A key that a client sent in a header or in the address was written to %s.", t.path),
				"Take over the log filters of the sample Caddyfile, remove the keys from this file, and replace those that stood in it.")
			seen = true
		case t.holds(end):
			x.ok("log.leak", fmt.Sprintf("Requests are written to %s without their keys.", t.path))
			seen = true
		}
	}
	if !seen {
		x.unknown("log.leak", "The requests of this examination were written to none of the log files.",
			"See whether the running gate has this configuration and logs these requests.")
	}
}

// waitFor waits until a text stands in one of the files, and a little longer for those that may get it too: logs of other
// sites do not.
func waitFor(ctx context.Context, files []*tail, text string) {
	deadline := time.Now().Add(logPatience)
	for first := true; time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		arrived, missing := 0, 0
		for _, t := range files {
			switch {
			case t.holds(text):
				arrived++
			case t.awaited:
				missing++
			}
		}
		switch {
		case arrived > 0 && missing == 0:
			return
		case arrived > 0 && first:
			first, deadline = false, time.Now().Add(logPatience/10)
		}
	}
}

// tail is what was written to a file since it was looked at first.
type tail struct {
	path    string
	begin   int64
	awaited bool // it may get requests that are answered
}

// newTail returns nil if the file cannot be read.
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

func (t *tail) holds(text string) bool {
	f, err := os.Open(t.path)
	if err != nil {
		return false
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() >= t.begin { // else it is a new file
		_, _ = f.Seek(t.begin, io.SeekStart)
	}
	data, _ := io.ReadAll(io.LimitReader(f, 32<<20))
	return bytes.Contains(data, []byte(text))
}
