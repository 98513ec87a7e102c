package admin

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Requests that arrive before the first configuration is active wait for it.
func TestAwaitConfig(t *testing.T) {
	request := func(ctx context.Context) (status int) {
		err := serveAdmin(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/docsgate/v1/keys", http.NoBody))
		response, _ := errors.AsType[caddy.APIError](err)
		return response.HTTPStatus
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if status := request(ended); status != http.StatusServiceUnavailable {
		t.Errorf("before the start: status %d", status)
	}
	probe := func() string {
		w := httptest.NewRecorder()
		if err := serveReady(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/docsgate/ready", http.NoBody)); err != nil {
			t.Fatal(err)
		}
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d", w.Code)
		}
		return w.Body.String()
	}
	if body := probe(); !strings.Contains(body, "still starting") {
		t.Errorf("before the start: %s", body)
	}

	result := make(chan int)
	go func() { result <- request(t.Context()) }()
	if err := caddy.Load([]byte(`{"admin": {"disabled": true, "config": {"persist": false}}}`), true); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	}()
	if status := <-result; status != http.StatusNotFound {
		t.Errorf("after the start: status %d", status)
	}
	if body := probe(); !strings.Contains(body, "not configured") {
		t.Errorf("after the start: %s", body)
	}
}
