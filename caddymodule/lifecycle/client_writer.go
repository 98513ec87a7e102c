package lifecycle

import (
	"errors"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Defaults of the limits of slow clients.
const (
	// DefaultClientWriteTimeout is how long a client may block writes.
	DefaultClientWriteTimeout = 30 * time.Second
	// DefaultClientMinRate is the minimum rate at which a client that blocks writes must read, in bytes per second. GPRS
	// has some thousands.
	DefaultClientMinRate = 1 << 10
)

const (
	// writeSize is the largest single write, in bytes, so that the progress of a slow client is measured. It is the size
	// of net/http's buffer.
	writeSize = 4 << 10
	// minBlocked is the shortest duration of a write that counts as blocked.
	minBlocked = time.Millisecond
	// finalWrite is how long a client may block writes once the process is exiting.
	finalWrite = 2 * time.Second
)

// ErrClientSlow is the error of a write that timed out.
var ErrClientSlow = errors.New("the client reads too slowly")

// ClientWriter is the response writer of a request. After Limit was called it limits how long the client may block it, with
// a credit of time that shrinks while a write is blocked and grows with each byte written. Time between writes does not
// count. It is not safe for concurrent use.
type ClientWriter struct {
	http.ResponseWriter
	idle    *caddyhttp.IdleTimeoutWriter // sets and clears deadlines around each write; nil: use control
	control *http.ResponseController     // nil: deadlines are not supported
	http2   bool                         // a deadline ends the stream even between writes

	timeout       time.Duration // maximum credit; 0: no limit
	rate          int64         // bytes per second of credit
	serverTimeout time.Duration // Caddy's limit for each write; 0: none
	credit        time.Duration
	writeTimeout  time.Duration // deadline of each write

	written int64 // bytes of bodies

	final atomic.Bool // the process is exiting
	slow  atomic.Bool // a write timed out
}

// Limit starts to enforce the limits. They replace Caddy's "timeouts { write }", which counts from the start of the request and
// would end every response that the upstream takes longer for.
func (c *ClientWriter) Limit(r *http.Request, timeout time.Duration, rate int64) {
	c.timeout, c.credit, c.rate, c.http2 = timeout, timeout, rate, r.ProtoMajor == 2
	if _, c.idle = caddyhttp.IdleTimeoutsFromContext(r.Context()); c.idle != nil {
		c.serverTimeout = c.idle.Deadline.Timeout
		c.idle.Deadline.HardDeadline = time.Time{}
		_ = c.idle.SetWriteDeadline(time.Time{}) // with HTTP/2, the server's deadline ends the stream even between writes
	} else if c.control = http.NewResponseController(c.ResponseWriter); c.control.SetWriteDeadline(time.Time{}) != nil {
		c.control = nil
	}
	c.setWriteTimeout()
}

// setWriteTimeout sets the timeout of the following writes. It overrides Caddy's minimum rate, which counts from the start of
// the request and so would include the pauses of the upstream.
func (c *ClientWriter) setWriteTimeout() {
	c.writeTimeout = c.credit + c.creditFor(writeSize)
	if c.serverTimeout > 0 {
		c.writeTimeout = min(c.writeTimeout, c.serverTimeout)
	}
	if c.idle != nil {
		_ = c.idle.Override(c.writeTimeout, 0, 0) // until the end of the request
	}
}

// creditFor returns the credit for n bytes.
func (c *ClientWriter) creditFor(n int) time.Duration {
	return time.Duration(int64(n) * int64(time.Second) / c.rate)
}

// Write implements http.ResponseWriter. The error is ErrClientSlow if the client was too slow.
func (c *ClientWriter) Write(p []byte) (int, error) {
	if c.timeout == 0 {
		n, err := c.ResponseWriter.Write(p)
		c.written += int64(n)
		return n, err
	}
	total := 0
	for {
		chunk := p[:min(len(p), writeSize)]
		start := c.beforeWrite()
		n, err := c.ResponseWriter.Write(chunk)
		total += n
		c.written += int64(n)
		if err = c.afterWrite(start, n, err); err != nil {
			return total, err
		}
		if p = p[len(chunk):]; len(p) == 0 {
			return total, nil
		}
	}
}

// Written returns the number of bytes of the body that were written so far.
func (c *ClientWriter) Written() int64 { return c.written }

// FlushError implements the interface of http.ResponseController.
func (c *ClientWriter) FlushError() error {
	flush := http.NewResponseController(c.ResponseWriter).Flush
	if c.timeout == 0 {
		return flush()
	}
	start := c.beforeWrite()
	return c.afterWrite(start, 0, flush())
}

// beforeWrite sets the deadline of a write and returns its start time.
func (c *ClientWriter) beforeWrite() time.Time {
	if c.credit > finalWrite && c.final.Load() {
		c.credit = finalWrite
		c.setWriteTimeout()
	}
	now := time.Now()
	if c.control != nil && c.control.SetWriteDeadline(now.Add(c.writeTimeout)) != nil {
		c.control = nil
	}
	return now
}

// afterWrite updates the credit. Its error is ErrClientSlow if the write timed out.
func (c *ClientWriter) afterWrite(start time.Time, n int, err error) error {
	blocked := time.Since(start)
	if c.control != nil && c.http2 && err == nil {
		_ = c.control.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		if blocked >= c.writeTimeout || errors.Is(err, os.ErrDeadlineExceeded) {
			return c.timedOut()
		}
		return err
	}
	if blocked < minBlocked && c.credit == c.timeout {
		return nil
	}
	most := c.timeout
	if c.final.Load() {
		most = finalWrite
	}
	if c.credit = min(c.credit-blocked+c.creditFor(n), most); c.credit <= 0 {
		return c.timedOut()
	}
	// Not after each write: the timeout may be slightly off.
	if want := c.credit + c.creditFor(writeSize); want < c.writeTimeout-c.timeout/16 || want > c.writeTimeout+c.timeout/16 {
		c.setWriteTimeout()
	}
	return nil
}

// Slow reports whether a write timed out because the client was too slow.
func (c *ClientWriter) Slow() bool { return c.slow.Load() }

func (c *ClientWriter) timedOut() error {
	c.slow.Store(true)
	return ErrClientSlow
}

// Unwrap is for http.ResponseController.
func (c *ClientWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

var _ interface{ FlushError() error } = (*ClientWriter)(nil)
