package gateway

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// How long the connection of a rejected request stays open for the rest of its body. The rest is read and discarded: closing a
// connection with unread data resets it, and the client would lose the response.
const (
	lingerTime        = 5 * time.Second
	lingerTimeStopped = time.Second // if the body was evicted or too slow
)

// A small body usually arrives with its header. It is read before the response, so that the client can use the connection again: a new
// one costs more than the rejection.
const (
	smallBody     = 32 << 10
	smallBodyTime = 100 * time.Millisecond // for a client that has not sent it yet
)

// closeAfterResponse is called before an error response is written, and reports whether the client may still be sending its
// body. On HTTP/1 the server would otherwise first wait for the rest of the body, or even for a body that the client sends only
// after "100 Continue", and the response would wait with it.
func closeAfterResponse(c *client, body *requestBody) (sending bool) {
	if c.r.ProtoMajor != 1 || c.r.ContentLength == 0 || body.quota.AtEnd() || discardSmallBody(c, body) {
		return false
	}
	c.responseValues.set(c.w.Header(), "Connection", "close")
	return true
}

// linger discards the rest of the body after the response, for a bounded time. The server waits only a moment before it closes
// the connection, and not at all where Caddy has wrapped the body.
func linger(c *client, body *requestBody) {
	body.release() // other requests may need the quota
	wait := lingerTime
	if body.quota.Stopped() {
		wait = lingerTimeStopped
	}
	rc := http.NewResponseController(c.w)
	if rc.Flush() != nil || rc.SetReadDeadline(time.Now().Add(wait)) != nil {
		return
	}
	if expectsContinue(c, body) {
		return
	}
	_, _ = io.Copy(io.Discard, c.r.Body) // whatever ends it, the connection is closed next
}

// expectsContinue reports whether the client has not sent any of the body, since it waits for "100 Continue".
func expectsContinue(c *client, body *requestBody) bool {
	return strings.EqualFold(c.r.Header.Get("Expect"), "100-continue") && !body.quota.Begun()
}

// discardSmallBody reads and discards the rest of a small body, and reports whether it is complete.
func discardSmallBody(c *client, body *requestBody) bool {
	if length := c.r.ContentLength; length < 0 || length > smallBody || body.quota.Stopped() || expectsContinue(c, body) {
		return false
	}
	rc := http.NewResponseController(c.w)
	deadline := time.Now().Add(smallBodyTime)
	if rc.SetReadDeadline(deadline) != nil {
		return false
	}
	if _, err := io.Copy(io.Discard, c.r.Body); err != nil {
		return false
	}
	// At the end of the body the server begins to wait for the next request, with the same deadline. If that has passed, the server takes
	// the client for disconnected, and with it later requests on this connection.
	return rc.SetReadDeadline(time.Time{}) == nil && time.Now().Before(deadline)
}
