package lifecycle

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// slowClient is a response writer that blocks as long as a client takes to read: a time per call, and a rate.
type slowClient struct {
	http.ResponseWriter
	perCall  time.Duration
	rate     int // bytes per second; 0: not limited
	deadline time.Time
	written  int
	cleared  int // number of cleared deadlines
}

func (c *slowClient) Write(p []byte) (int, error) {
	blocked := c.perCall
	if c.rate > 0 {
		blocked += time.Duration(len(p)) * time.Second / time.Duration(c.rate)
	}
	if !c.deadline.IsZero() && time.Until(c.deadline) < blocked {
		time.Sleep(time.Until(c.deadline))
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(blocked)
	c.written += len(p)
	return len(p), nil
}

func (c *slowClient) FlushError() error { return nil }

func (c *slowClient) SetWriteDeadline(deadline time.Time) error {
	if deadline.IsZero() {
		c.cleared++
	}
	c.deadline = deadline
	return nil
}

// limited returns a writer to a client with limits of 30 s and 1024 bytes per second. It must be used in a synctest bubble.
func limited(c *slowClient, proto int) *ClientWriter {
	r := httptest.NewRequest(http.MethodPost, "/stream", nil)
	r.ProtoMajor = proto
	c.ResponseWriter = httptest.NewRecorder()
	w := &ClientWriter{ResponseWriter: c}
	w.Limit(r, 30*time.Second, 1024)
	return w
}

func TestSlowClientTimesOut(t *testing.T) {
	for name, c := range map[string]struct {
		client slowClient
		most   time.Duration
	}{
		"nothing":           {slowClient{perCall: time.Hour}, 35 * time.Second},
		"1.5 kB in 40 s":    {slowClient{rate: 37}, 40 * time.Second},
		"half the rate":     {slowClient{rate: 512}, 65 * time.Second},
		"pauses with bytes": {slowClient{perCall: 2 * time.Second, rate: 1 << 20}, 60 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, begun := limited(&c.client, 1), time.Now()
				for {
					if _, err := w.Write(make([]byte, 300)); err != nil {
						if !errors.Is(err, ErrClientSlow) || !w.slow.Load() {
							t.Errorf("error: %v", err)
						}
						break
					}
					if err := w.FlushError(); err != nil {
						t.Fatal(err)
					}
					if time.Since(begun) > time.Hour {
						t.Fatal("the write does not time out")
					}
				}
				if took := time.Since(begun); took > c.most {
					t.Errorf("it held a request for %v, want at most %v", took, c.most)
				}
			})
		})
	}
}

func TestSlowClientAboveMinRateIsServed(t *testing.T) {
	for name, c := range map[string]struct {
		client slowClient
		piece  int
		pause  time.Duration // of the upstream
	}{
		"2 kB per second":           {slowClient{rate: 2000}, 300, 0},
		"2 kB per second, large":    {slowClient{rate: 2000}, 1 << 20, 0},
		"16 kB every 8 s":           {slowClient{perCall: 2 * time.Second, rate: 1 << 20}, writeSize, 0},
		"the upstream pauses":       {slowClient{rate: 2000}, 300, 4 * time.Minute},
		"slower than the upstream":  {slowClient{rate: 1100}, 600, 100 * time.Millisecond},
		"as fast as it is asked to": {slowClient{}, 300, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, begun := limited(&c.client, 1), time.Now()
				for time.Since(begun) < time.Hour {
					if _, err := w.Write(make([]byte, c.piece)); err != nil {
						t.Fatalf("after %v: %v", time.Since(begun), err)
					}
					if err := w.FlushError(); err != nil {
						t.Fatal(err)
					}
					time.Sleep(c.pause)
					if c.pause == 0 && c.client.rate == 0 && c.client.perCall == 0 {
						break
					}
				}
			})
		})
	}
}

// A client may pause for the whole timeout once, and again when it has read enough.
func TestWriteCreditRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slowClient{}
		w := limited(c, 1)
		for range 10 {
			c.perCall = 25 * time.Second
			if _, err := w.Write(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			c.perCall = 0
			if _, err := w.Write(make([]byte, 30<<10)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestFinalWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, begun := limited(&slowClient{perCall: time.Hour}, 1), time.Now()
		w.final.Store(true)
		if _, err := w.Write([]byte("x")); !errors.Is(err, ErrClientSlow) {
			t.Errorf("error: %v", err)
		}
		if took := time.Since(begun); took > finalWrite+5*time.Second {
			t.Errorf("duration: %v", took)
		}
	})
}

// With HTTP/2 a write deadline that is not cleared ends the stream while the upstream pauses.
func TestHTTP2DeadlinesCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slowClient{}
		w := limited(c, 2)
		if c.cleared != 1 {
			t.Error("the deadline of the server remains")
		}
		if _, err := w.Write(make([]byte, 3*writeSize)); err != nil || c.cleared != 1+3 || !c.deadline.IsZero() {
			t.Errorf("%v, %d deadlines were taken back, the last is %v", err, c.cleared, c.deadline)
		}
	})
}
