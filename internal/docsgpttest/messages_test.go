package docsgpttest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const (
	cancelToken   = "dgpt_pat_cancel"
	cancelSession = "session-of-the-owner"
)

// Who may cancel an answer, as measured on DocsGPT 1.1.0. An answer continues when its client disconnects.
func TestCancel(t *testing.T) {
	for _, open := range []bool{false, true} {
		b := New(Options{
			Keys: map[string][]string{"agent": nil}, Tokens: map[string][]string{cancelToken: nil}, Sessions: []string{cancelSession}, Open: open,
		})
		anybody := map[bool]int{false: http.StatusUnauthorized, true: http.StatusAccepted}[open]
		for name, c := range map[string]struct {
			authorization string
			status        int
		}{
			"no credential": {"", anybody},
			"an agent key":  {"Bearer agent", anybody},
			"access token":  {"Bearer " + cancelToken, http.StatusForbidden},
			"a session":     {"Bearer " + cancelSession, http.StatusAccepted},
		} {
			b.Reset()
			ctx, disconnect := context.WithTimeout(t.Context(), 50*time.Millisecond)
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/stream", strings.NewReader(`{"question":"[[gap=60]]","api_key":"agent"}`))
			r.Header.Set("Content-Type", "application/json")
			b.ServeHTTP(httptest.NewRecorder(), r)
			disconnect()
			running := b.Running()
			if len(running) != 1 {
				t.Fatalf("%s: running %q", name, running)
			}
			want := []int{c.status, c.status}
			if c.status == http.StatusAccepted {
				want[1] = http.StatusConflict
			}
			for _, status := range want {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/messages/"+running[0]+"/cancel", nil)
				if c.authorization != "" {
					r.Header.Set("Authorization", c.authorization)
				}
				w := httptest.NewRecorder()
				b.ServeHTTP(w, r)
				if w.Code != status {
					t.Errorf("open %v, %s: %d %s, want %d", open, name, w.Code, w.Body, status)
				}
			}
			if n := len(b.Running()); n > 0 != (c.status != http.StatusAccepted) {
				t.Errorf("open %v, %s: %d answers run", open, name, n)
			}
			if list := b.Cancellations(); len(list) != 2 || list[0] != (Cancellation{running[0], c.authorization, c.status}) || len(b.Calls()) != 1 {
				t.Errorf("open %v, %s: %+v", open, name, list)
			}
		}
	}
}

func TestCancelUnknown(t *testing.T) {
	b := New(Options{Open: true})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/messages/"+newUUID()+"/cancel", nil)
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `"success":false`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
