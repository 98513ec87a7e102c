package gateclient

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// The in-process transport behaves like a network: responses are streamed, and a truncated response is an error.
func TestHandlerTransport(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	streamed := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Was", r.Header.Get("X-Is"))
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "begin,")
		<-streamed
		_, _ = io.WriteString(w, "end")
	})
	mux.HandleFunc("GET /half", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("boom") })
	mux.HandleFunc("GET /nothing", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /endless", func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := io.WriteString(w, "more"); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("GET /silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	local := &handlerTransport{handler: mux}
	client := &http.Client{Transport: local}
	request := func(ctx context.Context, method, path, body string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Is", "x")
		return client.Do(req)
	}

	for _, c := range []struct {
		method, path, body, want string
		status                   int
		broken                   bool
	}{
		{"POST", "/echo", "text", "text", 202, false},
		{"GET", "/half", "", "half", 200, true},
		{"GET", "/panic", "", "", 500, true},
		{"GET", "/nothing", "", "", 200, false},
		{"GET", "/missing", "", "404 page not found\n", 404, false},
	} {
		resp, err := request(t.Context(), c.method, c.path, c.body)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != c.status || string(body) != c.want || (err != nil) != c.broken {
			t.Errorf("%s: %d %q %v", c.path, resp.StatusCode, body, err)
		}
		if c.path == "/echo" && resp.Header.Get("X-Was") != "x" {
			t.Error("the header is lost")
		}
	}

	resp, err := request(t.Context(), "GET", "/stream", "")
	if err != nil {
		t.Fatal(err)
	}
	begin := make([]byte, len("begin,"))
	if _, err := io.ReadFull(resp.Body, begin); err != nil || string(begin) != "begin," {
		t.Errorf("%q %v", begin, err)
	}
	close(streamed)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "end" {
		t.Errorf("%q %v", rest, err)
	}
	_ = resp.Body.Close()

	// Closing the body ends the handler.
	if resp, err = request(t.Context(), "GET", "/endless", ""); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if resp, err := request(ctx, "GET", "/silent", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("%v %v", resp, err)
	}
	local.running.Wait()
}
