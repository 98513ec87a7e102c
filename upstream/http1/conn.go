package http1

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// conn is a connection to the server. One request at a time uses it.
type conn struct {
	nc    net.Conn
	raw   syscall.RawConn // nil in tests without a socket
	abort func()          // closes nc; allocated once

	// Received bytes that are not yet consumed are buf.bytes[start:end]. buf is nil while there are none.
	buf        *buffer
	start, end int

	// Deadlines that are set. They may be earlier than necessary, and are changed when they expire: in a pool of connections
	// that is rarely.
	readDeadline, writeDeadline time.Time

	reused    bool
	idleSince time.Time

	// Arguments and results of callbacks, which are allocated once.
	onPeek   func(fd uintptr)
	readable func(fd uintptr) bool
	try      func(fd uintptr) bool
	err      error
	quiet    bool
	vector   [2][]byte
	vectors  net.Buffers
}

func newConn(nc net.Conn) (*conn, error) {
	c := &conn{nc: nc}
	c.abort = func() { _ = c.nc.Close() }
	socket, ok := nc.(syscall.Conn)
	if !ok {
		return c, nil
	}
	var err error
	if c.raw, err = socket.SyscallConn(); err != nil {
		return nil, err
	}
	c.readable = c.readWithoutWaiting
	c.try = func(fd uintptr) bool {
		c.readWithoutWaiting(fd)
		return true
	}
	c.onPeek = func(fd uintptr) { c.quiet = isQuiet(fd) }
	return c, nil
}

// isUsable reports whether the server has neither closed an idle connection nor sent anything on it.
func (c *conn) isUsable() bool {
	if c.raw == nil {
		return true
	}
	c.quiet = false
	return c.raw.Control(c.onPeek) == nil && c.quiet
}

// close closes the connection and releases its buffer.
func (c *conn) close() {
	_ = c.nc.Close()
	c.releaseBuffer()
}

func (c *conn) releaseBuffer() {
	c.buf.release()
	c.buf, c.start, c.end = nil, 0, 0
}

// buffered returns the received bytes that are not yet consumed.
func (c *conn) buffered() []byte {
	if c.buf == nil {
		return nil
	}
	return c.buf.bytes[c.start:c.end]
}

// fill reads more bytes, and waits for them until a time; zero means forever. The error is io.EOF at the end, one that matches
// os.ErrDeadlineExceeded, or that of the connection. It invalidates what buffered has returned.
func (c *conn) fill(until time.Time) error {
	if c.start == c.end {
		c.releaseBuffer()
	}
	if !until.IsZero() && (c.readDeadline.IsZero() || c.readDeadline.After(until)) {
		if err := c.setReadDeadline(until); err != nil {
			return err
		}
	}
	for {
		n, err := c.receive()
		if n > 0 {
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || !until.IsZero() && !time.Now().Before(until) {
			return err
		}
		if err := c.setReadDeadline(until); err != nil {
			return err
		}
	}
}

// tryFill is fill without waiting. received is also false if it cannot find out whether something has arrived.
func (c *conn) tryFill() (received bool, err error) {
	if c.start == c.end {
		c.releaseBuffer()
	}
	if c.buf != nil || c.raw == nil {
		return false, nil
	}
	c.err = nil
	switch err = c.raw.Read(c.try); {
	case errors.Is(err, os.ErrDeadlineExceeded): // fill changes the deadline
		return false, nil
	case err == nil:
		err = c.err
	}
	return c.buf != nil, err
}

func (c *conn) setReadDeadline(t time.Time) error {
	c.readDeadline = t
	return c.nc.SetReadDeadline(t)
}

// receive reads once. It returns 0 only with an error.
func (c *conn) receive() (int, error) {
	if c.buf == nil && c.raw != nil {
		c.err = nil
		if err := c.raw.Read(c.readable); err != nil {
			return 0, err
		}
		if c.err != nil {
			return 0, c.err
		}
		return c.end, nil
	}
	switch {
	case c.buf == nil:
		c.buf = newBuffer()
	case c.start > 0:
		c.end = copy(c.buf.bytes, c.buffered())
		c.start = 0
	case c.end == len(c.buf.bytes):
		larger := &buffer{make([]byte, 2*len(c.buf.bytes))}
		copy(larger.bytes, c.buffered())
		c.buf.release()
		c.buf = larger
	}
	n, err := c.nc.Read(c.buf.bytes[c.end:])
	c.end += n
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	return n, err
}

// readWithoutWaiting reads into a new buffer, which exists only if there is something to read. It reports false if the caller
// must wait.
func (c *conn) readWithoutWaiting(fd uintptr) (done bool) {
	b := newBuffer()
	n, err := readSocket(fd, b.bytes)
	if n > 0 {
		c.buf, c.end = b, n
		return true
	}
	b.release()
	switch {
	case err == nil:
		c.err = io.EOF
	case errors.Is(err, errWouldBlock):
		return false
	default:
		c.err = &net.OpError{
			Op: "read", Net: c.nc.RemoteAddr().Network(), Source: c.nc.LocalAddr(), Addr: c.nc.RemoteAddr(), Err: os.NewSyscallError("read", err),
		}
	}
	return true
}

// write writes two slices with one system call, and waits until a time at most. It returns the number of bytes that were sent.
func (c *conn) write(head, body []byte, until time.Time) (n int64, err error) {
	if c.writeDeadline.IsZero() || c.writeDeadline.After(until) {
		if err := c.setWriteDeadline(until); err != nil {
			return 0, err
		}
	}
	for {
		var sent int64
		if len(body) == 0 {
			var m int
			m, err = c.nc.Write(head)
			sent = int64(m)
		} else {
			c.vector = [2][]byte{head, body}
			c.vectors = c.vector[:]
			sent, err = c.vectors.WriteTo(c.nc)
			c.vector, c.vectors = [2][]byte{}, nil
		}
		n += sent
		if !errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Before(until) {
			return n, err
		}
		fromHead := min(sent, int64(len(head)))
		head, body = head[fromHead:], body[sent-fromHead:]
		if err := c.setWriteDeadline(until); err != nil {
			return n, err
		}
	}
}

func (c *conn) setWriteDeadline(t time.Time) error {
	c.writeDeadline = t
	return c.nc.SetWriteDeadline(t)
}
