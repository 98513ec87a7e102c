package http1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// maxFirstWrite is how much of a request is written before its response is read. A socket takes that much without waiting for
// the server, so that a response to the first bytes of a request is not lost. An upload writes the rest.
const maxFirstWrite = 64 << 10

// outgoing is a request that is being sent. It can be sent again as long as none of its bytes were written.
type outgoing struct {
	head   *buffer
	first  [2][]byte // of the request, for one system call
	body   Body      // nil: there is none, or it was released
	rest   []byte    // of a body in memory
	source io.ReadCloser
	chunk  *[chunkSize]byte // the beginning of a body that is not in memory
	left   int64            // bytes of source
}

// prepare encodes the head, and reads the beginning of a body that is not in memory.
func (o *outgoing) prepare(r *Request) error {
	o.head, o.body = newBuffer(), r.Body
	head := r.appendHead(o.head.bytes[:0])
	length := r.length()
	if length == 0 {
		o.first[0] = head
		return nil
	}
	view := r.Body.View()
	switch {
	case view == nil:
		o.source, o.chunk, o.left = r.Body.Open(), chunks.Get().(*[chunkSize]byte), length
		var err error
		if view, err = o.read(); err != nil {
			return err
		}
	case len(view) > maxFirstWrite:
		view, o.rest = view[:maxFirstWrite], view[maxFirstWrite:]
	case len(head)+len(view) <= cap(head):
		head, view = append(head, view...), nil
	}
	o.first = [2][]byte{head, view}
	return nil
}

// read reads the next chunk of a body that is not in memory.
func (o *outgoing) read() ([]byte, error) {
	p := o.chunk[:min(o.left, chunkSize)]
	if _, err := io.ReadFull(o.source, p); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("reading the request body: %w", err)
	}
	o.left -= int64(len(p))
	return p, nil
}

// isComplete reports whether the first write was all of the request.
func (o *outgoing) isComplete() bool { return len(o.rest) == 0 && o.left == 0 }

// release releases what the request uses. It may be called several times.
func (o *outgoing) release() {
	o.head.release()
	if o.chunk != nil {
		chunks.Put(o.chunk)
		_ = o.source.Close()
	}
	if o.body != nil {
		o.body.Release()
	}
	*o = outgoing{}
}

// startUpload begins to write the rest of the request. The result is sent when nothing uses the body and the connection's writer
// any more.
func (o *outgoing) startUpload(c *conn) (done <-chan error, err error) {
	// The time to the header of the response bounds the upload. After that, its end does.
	if err := c.setWriteDeadline(time.Time{}); err != nil {
		return nil, err
	}
	result := make(chan error, 1)
	moved := *o
	*o = outgoing{}
	go func() {
		err := moved.upload(c.nc)
		moved.release()
		result <- err
	}()
	return result, nil
}

// upload writes the rest. If the body cannot be read, it closes the connection, since the server would wait for more.
func (o *outgoing) upload(nc net.Conn) error {
	if len(o.rest) > 0 {
		_, err := nc.Write(o.rest)
		return err
	}
	for o.left > 0 {
		p, err := o.read()
		if err != nil {
			_ = nc.Close()
			return &bodyError{err}
		}
		if _, err := nc.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// bodyError is an error of a request body.
type bodyError struct{ error }

func (e *bodyError) Unwrap() error { return e.error }
