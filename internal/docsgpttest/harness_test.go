package docsgpttest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const (
	alpha = "a23ab4b1-00cf-4bce-8731-8fbee2a50a39"
	beta  = "17ad69e0-b2fc-48ed-af93-42b3fe820758"

	keyAlpha   = "0c7de1a2-key-of-alpha"
	keyBeta    = "0c7de1a2-key-of-beta"
	keyBoth    = "0c7de1a2-key-of-both"
	tokenAlpha = "dgpt_pat_confined-to-alpha"
	tokenAll   = "dgpt_pat_unconfined"
)

// startBackend serves a backend with two sources. open: as with AUTH_TYPE unset.
func startBackend(t *testing.T, open bool) (*Backend, *httptest.Server) {
	t.Helper()
	b := New(Options{
		Label:   "stub",
		Keys:    map[string][]string{keyAlpha: {alpha}, keyBeta: {beta}, keyBoth: {alpha, beta}},
		Tokens:  map[string][]string{tokenAlpha: {alpha}, tokenAll: nil},
		Sources: map[string]string{alpha: "alpha.md", beta: "beta.md"},
		Open:    open,
	})
	s := httptest.NewServer(b)
	t.Cleanup(s.Close)
	return b, s
}

// response is a complete response.
type response struct {
	status int
	header http.Header
	body   string
}

// send sends a request. headers are name, value pairs; the default Content-Type of a body is application/json.
func send(t *testing.T, method, url, body string, headers ...string) response {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{resp.StatusCode, resp.Header, string(got)}
}

// chatBody returns a body for /stream and /api/answer with a question and more fields, given as name, value pairs.
func chatBody(fields ...any) string {
	body := map[string]any{"question": "How?", "history": "[]"}
	for i := 0; i < len(fields); i += 2 {
		body[fields[i].(string)] = fields[i+1]
	}
	data, _ := json.Marshal(body)
	return string(data)
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// events returns the decoded data of each event.
func events(t *testing.T, stream string) (list []map[string]any) {
	t.Helper()
	for line := range strings.SplitSeq(stream, "\n") {
		data, found := strings.CutPrefix(line, "data: ")
		if !found || data == "[DONE]" {
			continue
		}
		var e map[string]any
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatalf("event %q: %v", data, err)
		}
		list = append(list, e)
	}
	return list
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
