package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/docsgate/docsgate/caddymodule/lifecycle"
)

// messageWaitTime is how long a stream is read after its client has disconnected, to learn the ID of its message. DocsGPT sends
// the ID when it has found the passages for the question, before the model answers.
const messageWaitTime = 5 * time.Second

// messageWait lets the request to DocsGPT outlive its client until the stream has named its message, since the answer cannot be
// canceled without that ID. nil does not wait.
type messageWait struct {
	detach func() bool // from the context of the client's request

	mu    sync.Mutex
	armed bool        // the request is sent, and the ID is not known yet
	left  bool        // the client has disconnected meanwhile
	timer *time.Timer // ends the wait
}

// startWithMessageWait creates c.ctx and c.stop for a request that may outlive its client.
func (c *client) startWithMessageWait() {
	c.ctx, c.stop = context.WithCancelCause(context.WithoutCancel(c.r.Context()))
	c.messageWait = &c.waitMemory
	c.messageWait.detach = context.AfterFunc(c.r.Context(), c.disconnected)
}

// disconnected is called when the context of the client's request ends.
func (c *client) disconnected() {
	w := c.messageWait
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.armed {
		c.stop(lifecycle.ErrDisconnected)
		return
	}
	w.left = true
	w.timer = time.AfterFunc(messageWaitTime, func() { c.stop(lifecycle.ErrDisconnected) })
}

// arm must be called before the request is sent to DocsGPT.
func (w *messageWait) arm() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = true
}

// disarm is called with the first event of the stream. It reports whether the client has disconnected, so that the
// request must end.
func (w *messageWait) disarm() (left bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = false
	return w.left
}

// hasLeft reports whether the client has disconnected while the ID is awaited. Then nothing is written to it.
func (w *messageWait) hasLeft() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left
}

// end must be called when the request has ended.
func (w *messageWait) end() {
	if w == nil {
		return
	}
	w.detach()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// awaitMessage checks whether the stream has named its message, which it does in its first event or not at all. If the client has disconnected, it reports either that the request
// must end, since the ID is known, or that this chunk must be skipped, since it is not known yet.
func (res *response) awaitMessage() (end, skip bool) {
	w := res.client.messageWait
	if res.filter.MessageID().IsZero() && len(res.out) == 0 {
		return false, w.hasLeft()
	}
	res.awaitsMessage = false
	return w.disarm(), false
}
