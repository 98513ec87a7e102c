package upstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"testing"
)

// readRequest reads one complete request. ok is false at the end of the connection.
func readRequest(r *bufio.Reader) (ok bool) {
	request, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, request.Body)
	return err == nil
}

// bodies are possible bodies of a POST. The same rules apply to all of them.
var bodies = map[string][]byte{"no body": nil, "a body": []byte("{}"), "a long body": long}

func TestSendReplacesClosedIdleConnection(t *testing.T) {
	forEachClient(t, func(t *testing.T, connect connectFunc) {
		for name, body := range bodies {
			t.Run(name, func(t *testing.T) {
				var requests atomic.Int32
				address := raw(t, func(_ int, c net.Conn) {
					if readRequest(bufio.NewReader(c)) {
						requests.Add(1)
						_, _ = io.WriteString(c, answer)
					}
				})
				u := connect(t, address)
				for range 5 {
					var used net.Conn
					ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
						used = got.Conn
					}})
					resp, err := post(ctx, t, u, body)
					if err != nil {
						t.Fatal(err)
					}
					if got := read(t, resp); got != "ok" {
						t.Errorf("got %q", got)
					}
					awaitClosed(t, u, used)
				}
				if requests.Load() != 5 {
					t.Errorf("the server got %d requests, want 5", requests.Load())
				}
			})
		}
	})
}

// awaitClosed waits until an upstream can know that the server has closed a connection. An upstream may have closed it, too: it does not
// keep a connection whose response was complete before it knew that the request was.
func awaitClosed(t *testing.T, u *Upstream, c net.Conn) {
	t.Helper()
	if u.client == nil {
		eventually(t, "the connection that the server closed is gone", noConnections)
		return
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		t.Errorf("an idle connection: %d bytes, %v", n, err)
	}
}

// The worst moment: the connection has been chosen for a request, and is closed before any byte of it is written.
func TestSendReplacesConnectionClosedOnUse(t *testing.T) {
	forEachClient(t, func(t *testing.T, connect connectFunc) {
		for name, body := range bodies {
			t.Run(name, func(t *testing.T) {
				wait := make(chan struct{})
				hangUp := sync.OnceFunc(func() { close(wait) })
				var requests atomic.Int32
				address := raw(t, func(number int, c net.Conn) {
					if readRequest(bufio.NewReader(c)) {
						requests.Add(1)
						_, _ = io.WriteString(c, answer)
					}
					if number == 1 {
						<-wait
					}
				})
				t.Cleanup(hangUp)
				u := connect(t, address)
				ask(t, u, body)
				ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
					if got.Reused {
						hangUp()
						awaitClosed(t, u, got.Conn)
					}
				}})
				resp, err := post(ctx, t, u, body)
				if err != nil {
					t.Fatalf("nothing was sent, but it is not tried again: %v", err)
				}
				if text := read(t, resp); text != "ok" || requests.Load() != 2 {
					t.Errorf("got %q after %d requests, want 2", text, requests.Load())
				}
			})
		}
	})
}

func TestSendNeverSendsTwice(t *testing.T) {
	forEachClient(t, testSendNeverSendsTwice)
}

func testSendNeverSendsTwice(t *testing.T, connect connectFunc) {
	for name, body := range bodies {
		for when, first := range map[string]bool{"on a new connection": true, "on a used connection": false} {
			t.Run(name+" "+when, func(t *testing.T) {
				var lost, other atomic.Int32
				address := raw(t, func(number int, c net.Conn) {
					r := bufio.NewReader(c)
					if number > 1 {
						if readRequest(r) {
							other.Add(1)
							_, _ = io.WriteString(c, answer)
						}
						return
					}
					if !first && readRequest(r) {
						_, _ = io.WriteString(c, answer)
					}
					if readRequest(r) {
						lost.Add(1) // and hang up without an answer
					}
				})
				u := connect(t, address)
				if !first {
					ask(t, u, body)
				}
				if _, err := post(t.Context(), t, u, body); !errors.Is(err, ErrUnavailable) {
					t.Errorf("got %v", err)
				}
				if lost.Load() != 1 || other.Load() != 0 {
					t.Errorf("the question was sent %d times", lost.Load()+other.Load())
				}
				// The next request succeeds.
				if got := ask(t, u, body); got != "ok" {
					t.Errorf("then got %q", got)
				}
			})
		}
	}
}

// The upstream may have acted on the beginning of a request.
func TestSendDoesNotRetryPartialRequest(t *testing.T) {
	forEachClient(t, testSendDoesNotRetryPartialRequest)
}

func testSendDoesNotRetryPartialRequest(t *testing.T, connect connectFunc) {
	var connections atomic.Int32
	address := raw(t, func(number int, c net.Conn) {
		connections.Add(1)
		r := bufio.NewReader(c)
		if number == 1 && readRequest(r) {
			_, _ = io.WriteString(c, answer)
			_, _ = r.Read(make([]byte, 1)) // one byte of the next
			return
		}
		_, _ = io.WriteString(c, answer)
	})
	u := connect(t, address)
	ask(t, u, []byte("{}"))
	if _, err := post(t.Context(), t, u, long); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if connections.Load() != 1 {
		t.Errorf("it was sent again: the server had %d connections", connections.Load())
	}
}
