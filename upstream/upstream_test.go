package upstream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestSendRequest(t *testing.T) {
	for name, c := range map[string]struct {
		method, base, path string
		body               []byte
		wantLine           string
		wantLength         []string
	}{
		"a question": {
			method: http.MethodPost, path: "/stream", body: []byte(`{"question":"q"}`),
			wantLine: "POST /stream HTTP/1.1", wantLength: []string{"16"},
		},
		"a large body": {
			method: http.MethodPost, path: "/api/answer", body: long,
			wantLine: "POST /api/answer HTTP/1.1", wantLength: []string{fmt.Sprint(len(long))},
		},
		"below a path": {
			method: http.MethodPost, base: "/docs/gpt/", path: "/stream", body: []byte("{}"),
			wantLine: "POST /docs/gpt/stream HTTP/1.1", wantLength: []string{"2"},
		},
		"an empty body": {
			method: http.MethodPost, path: "/stream", body: []byte{},
			wantLine: "POST /stream HTTP/1.1", wantLength: []string{"0"},
		},
		"no body": {method: http.MethodGet, path: "/v1/models", wantLine: "GET /v1/models HTTP/1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			var line string
			var got *http.Request
			var body []byte
			address := raw(t, func(_ int, conn net.Conn) {
				var seen bytes.Buffer
				var err error
				if got, err = http.ReadRequest(bufio.NewReader(io.TeeReader(conn, &seen))); err != nil {
					t.Errorf("the server cannot read it: %v", err)
					return
				}
				first, _, _ := bytes.Cut(seen.Bytes(), []byte("\r\n"))
				line = string(first)
				if body, err = io.ReadAll(got.Body); err != nil {
					t.Errorf("the server cannot read the body: %v", err)
				}
				_, _ = io.WriteString(conn, answer)
			})
			u := connect(t, "http://"+address+c.base)
			header := http.Header{
				"Content-Type": {"application/json"}, "User-Agent": {"widget/1"}, "Accept-Encoding": {"identity"},
				"Authorization": {"Bearer credential"}, "Origin": {"https://docs.example"}, "X-Forwarded-For": {"192.0.2.7"},
			}
			want := header.Clone()
			if c.wantLength != nil {
				want["Content-Length"] = c.wantLength
			}
			r := Request{Method: c.method, Path: c.path, Header: header}
			if c.body != nil {
				buffer := NewBuffer(len(c.body))
				buffer.Bytes = append(buffer.Bytes, c.body...)
				r.Body = buffer
			}
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			resp, err := u.Send(ctx, stop, r)
			if err != nil {
				t.Fatal(err)
			}
			if text := read(t, resp); text != "ok" || resp.StatusCode != http.StatusOK {
				t.Errorf("the answer is %d %q", resp.StatusCode, text)
			}
			if line != c.wantLine {
				t.Errorf("the request is %q, want %q", line, c.wantLine)
			}
			if got.Host != address {
				t.Errorf("Host is %q, want %q", got.Host, address)
			}
			if !bytes.Equal(body, c.body) {
				t.Errorf("the body has %d bytes, not the %d that were sent", len(body), len(c.body))
			}
			if got.TransferEncoding != nil {
				t.Errorf("Transfer-Encoding is %q, which DocsGPT's server does not read", got.TransferEncoding)
			}
			if fmt.Sprint(got.Header) != fmt.Sprint(want) {
				t.Errorf("headers\n%v, want\n%v", got.Header, want)
			}
		})
	}
}

func TestSendReturnsResponseUnchanged(t *testing.T) {
	u, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
		_, _ = io.WriteString(w, "not gzip at all")
	})
	resp, err := post(t.Context(), t, u, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if text := read(t, resp); resp.StatusCode != http.StatusTemporaryRedirect || text != "not gzip at all" {
		t.Errorf("got %d %q", resp.StatusCode, text)
	}
}

func TestUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host+r.URL.Path)
	}))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	if got := ask(t, connect(t, "unix/"+socket), []byte("{}")); got != "localhost/stream" {
		t.Errorf("got %q", got)
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = quiet
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	t.Run("its own authority", func(t *testing.T) {
		u := connect(t, server.URL, func(c *Config) { c.TLS = &tls.Config{RootCAs: roots} })
		if got := ask(t, u, []byte("{}")); got != "HTTP/1.1" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("an unknown authority", func(t *testing.T) {
		_, err := post(t.Context(), t, connect(t, server.URL), []byte("{}"))
		var unknown x509.UnknownAuthorityError
		if !errors.Is(err, ErrUnavailable) || !errors.As(err, &unknown) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another name", func(t *testing.T) {
		u := connect(t, server.URL, func(c *Config) { c.TLS = &tls.Config{RootCAs: roots, ServerName: "other.example"} })
		_, err := post(t.Context(), t, u, []byte("{}"))
		var name x509.HostnameError
		if !errors.Is(err, ErrUnavailable) || !errors.As(err, &name) {
			t.Errorf("got %v", err)
		}
	})
}

func TestSendReusesConnections(t *testing.T) {
	const clients = 50
	var made atomic.Int32
	var arrived sync.WaitGroup
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// All requests are in flight at the same time before the first response is sent.
		arrived.Done()
		arrived.Wait()
		_, _ = io.Copy(w, r.Body)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	u := connect(t, server.URL)
	for range 3 {
		var all sync.WaitGroup
		arrived.Add(clients)
		for i := range clients {
			all.Go(func() {
				if body := fmt.Sprint("question ", i); ask(t, u, []byte(body)) != body {
					t.Errorf("the answer is to another question than %q", body)
				}
			})
		}
		all.Wait()
	}
	if made.Load() != clients {
		t.Errorf("%d connections for %d concurrent requests", made.Load(), clients)
	}
}

func TestSendUnavailable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for name, address := range map[string]string{
		"port": l.Addr().String(), "socket": "unix/" + filepath.Join(t.TempDir(), "none"),
	} {
		t.Run(name, func(t *testing.T) {
			resp, err := post(t.Context(), t, connect(t, address), []byte("{}"))
			var op *net.OpError
			if !errors.Is(err, ErrUnavailable) || !errors.As(err, &op) || resp != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSendResponseHeaderTimeout(t *testing.T) {
	u, server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}, func(c *Config) { c.ResponseHeaderTimeout = 20 * time.Millisecond })
	if _, err := post(t.Context(), t, u, []byte("{}")); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v", err)
	}
	// The upstream notices the cancellation unless it was not reached in time. Wait for the end of the handler, if any.
	server.Close()
}

func TestSendHandshakeTimeout(t *testing.T) {
	address := raw(t, func(_ int, c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	u := connect(t, "https://"+address, func(c *Config) { c.DialTimeout = 20 * time.Millisecond })
	if _, err := post(t.Context(), t, u, []byte("{}")); !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestSendCanceledBeforeResponse(t *testing.T) {
	errGone := errors.New("the client is gone")
	arrived, closed := make(chan struct{}), make(chan struct{})
	u, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		defer close(closed)
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	})
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	go func() {
		<-arrived
		stop(errGone)
	}()
	if _, err := post(ctx, t, u, []byte("{}")); !errors.Is(err, errGone) || errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	<-closed // the upstream notices the cancellation
}

func TestSendCanceledWhileSending(t *testing.T) {
	errGone := errors.New("the client is gone")
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	end := make(chan error, 1)
	address := raw(t, func(_ int, c net.Conn) {
		_, _ = c.Read(make([]byte, 1)) // the rest is still being sent
		stop(errGone)
		_, err := io.Copy(io.Discard, c)
		end <- err
	})
	if _, err := post(ctx, t, connect(t, address), long); !errors.Is(err, errGone) {
		t.Errorf("got %v", err)
	}
	<-end // the upstream notices the cancellation
}

func TestSendResponseBeforeBodyIsRead(t *testing.T) {
	u, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})
	for range 20 {
		resp, err := post(t.Context(), t, u, long[:1<<20])
		if err != nil {
			// The server has closed the connection while the body was being written: the response is lost then.
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			continue
		}
		fill(1 << 20) // bytes that are being sent must not be overwritten: the race detector checks it
		if read(t, resp); resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("got %d", resp.StatusCode)
		}
	}
}

func TestDefaults(t *testing.T) {
	if got := New(Config{}).IdleTimeout(); got != DefaultIdleTimeout {
		t.Errorf("the idle time is %v", got)
	}
	if got := New(Config{IdleTimeout: time.Second}).IdleTimeout(); got != time.Second {
		t.Errorf("the idle time is %v, not the one that was set", got)
	}
}

func TestErrorUnwrapsBoth(t *testing.T) {
	cause := errors.New("why")
	var err error = &Error{ErrTruncated, cause}
	if !errors.Is(err, ErrTruncated) || !errors.Is(err, cause) || errors.Is(err, ErrIdleTimeout) {
		t.Errorf("%v is not what it is made of", err)
	}
	if want := ErrTruncated.Error() + ": why"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// A header is reused, so nothing of one request may be in the next one, whatever the outcome.
func TestHeadersAreReusedEmpty(t *testing.T) {
	address := raw(t, func(_ int, c net.Conn) {
		if readRequest(bufio.NewReader(c)) {
			_, _ = io.WriteString(c, answer)
		}
	})
	for name, target := range map[string]string{"a response": address, "no server": "127.0.0.1:1"} {
		t.Run(name, func(t *testing.T) {
			u := connect(t, "http://"+target)
			for range 10 {
				header := NewHeader()
				if len(header) != 0 {
					t.Fatalf("the new header contains %q", header)
				}
				header.Set("Authorization", "Bearer credential")
				ctx, stop := context.WithCancelCause(t.Context())
				resp, err := u.Send(ctx, stop, Request{Method: http.MethodPost, Path: "/", Header: header})
				if err == nil {
					_ = read(t, resp)
				}
				stop(nil)
				if len(header) != 0 {
					t.Errorf("after Send the header contains %q", header)
				}
			}
		})
	}
}
