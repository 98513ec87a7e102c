package caddymodule

import (
	"errors"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Defaults of how slow a client may be.
const (
	// DefaultClientWriteTimeout is how long writing to a client may be blocked.
	DefaultClientWriteTimeout = 30 * time.Second
	// DefaultClientMinRate is how fast a client that keeps the gate waiting must read, in bytes per second. GPRS has
	// some thousand.
	DefaultClientMinRate = 1 << 10
)

const (
	// writeSize is how much is written at once, so that a slow client is seen to make progress. It is what net/http
	// buffers.
	writeSize = 4 << 10
	// noticeable is the shortest time that counts as being blocked.
	noticeable = time.Millisecond
	// finalWrite is how long a client may take for what it is told at the end of the process.
	finalWrite = 2 * time.Second
)

var errClientSlow = errors.New("the client reads too slowly")

// clientWriter is the response writer of a request. From limit on it bounds how long the client may block it: a credit
// of time shrinks while a write is blocked and grows with what is written. The time between writes never counts, nor
// does a client that reads as fast as it is written to. Several goroutines may write one after the other, not at once.
type clientWriter struct {
	http.ResponseWriter
	idle    *caddyhttp.IdleTimeoutWriter // sets and clears deadlines around each write; nil: control does
	control *http.ResponseController     // nil: deadlines are not supported
	http2   bool                         // a deadline ends the stream even when nothing is written

	timeout  time.Duration // the most credit; 0: no limit
	rate     int64         // bytes that give a second of credit
	operator time.Duration // the server's own limit for each write; 0: none
	credit   time.Duration
	armed    time.Duration // for each write

	final atomic.Bool // the process ends
	slow  atomic.Bool // a write was given up
}

// limit makes the limits count.
func (c *clientWriter) limit(r *http.Request, timeout time.Duration, rate int64) {
	c.timeout, c.credit, c.rate, c.http2 = timeout, timeout, rate, r.ProtoMajor == 2
	if _, c.idle = caddyhttp.IdleTimeoutsFromContext(r.Context()); c.idle != nil {
		c.operator = c.idle.Deadline.Timeout
	} else {
		c.control = http.NewResponseController(c.ResponseWriter)
	}
	c.arm()
}

// arm sets the time for the following writes. Caddy's minimum rate counts from the beginning of the request, so that the
// upstream's pauses would count, too; it is replaced.
func (c *clientWriter) arm() {
	c.armed = c.credit + c.worth(writeSize)
	if c.operator > 0 {
		c.armed = min(c.armed, c.operator)
	}
	if c.idle != nil {
		_ = c.idle.Override(c.armed, 0, 0) // the limits count to the end of the request
	}
}

// worth is the credit for n bytes.
func (c *clientWriter) worth(n int) time.Duration {
	return time.Duration(int64(n) * int64(time.Second) / c.rate)
}

// Write implements http.ResponseWriter. The error is errClientSlow if the client was too slow.
func (c *clientWriter) Write(p []byte) (int, error) {
	if c.timeout == 0 {
		return c.ResponseWriter.Write(p)
	}
	total := 0
	for {
		piece := p[:min(len(p), writeSize)]
		start := c.begin()
		n, err := c.ResponseWriter.Write(piece)
		total += n
		if err = c.end(start, n, err); err != nil {
			return total, err
		}
		if p = p[len(piece):]; len(p) == 0 {
			return total, nil
		}
	}
}

// FlushError is called by http.ResponseController.
func (c *clientWriter) FlushError() error {
	flush := http.NewResponseController(c.ResponseWriter).Flush
	if c.timeout == 0 {
		return flush()
	}
	start := c.begin()
	return c.end(start, 0, flush())
}

// writeHeader is called before each write.
func (c *clientWriter) begin() time.Time {
	if c.credit > finalWrite && c.final.Load() {
		c.credit = finalWrite
		c.arm()
	}
	now := time.Now()
	if c.control != nil && c.control.SetWriteDeadline(now.Add(c.armed)) != nil {
		c.control = nil
	}
	return now
}

// end is called after each write.
func (c *clientWriter) end(start time.Time, n int, err error) error {
	blocked := time.Since(start)
	if c.control != nil && c.http2 && err == nil {
		_ = c.control.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		if blocked >= c.armed || errors.Is(err, os.ErrDeadlineExceeded) {
			return c.giveUp()
		}
		return err
	}
	if blocked < noticeable && c.credit == c.timeout {
		return nil
	}
	most := c.timeout
	if c.final.Load() {
		most = finalWrite
	}
	if c.credit = min(c.credit-blocked+c.worth(n), most); c.credit <= 0 {
		return c.giveUp()
	}
	// Not with each write: a deadline that is a bit late is as good.
	if want := c.credit + c.worth(writeSize); want < c.armed-c.timeout/16 || want > c.armed+c.timeout/16 {
		c.arm()
	}
	return nil
}

func (c *clientWriter) giveUp() error {
	c.slow.Store(true)
	return errClientSlow
}

// Unwrap is for http.ResponseController.
func (c *clientWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

var _ interface{ FlushError() error } = (*clientWriter)(nil)
