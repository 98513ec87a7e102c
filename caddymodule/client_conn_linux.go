package caddymodule

import "golang.org/x/sys/unix"

// disconnected reports whether the client has closed its end, or the connection is broken. It reads nothing: what a
// client has sent ahead stays for the next request.
func (c *clientConn) disconnected() bool {
	if c.socket == nil {
		return false
	}
	closed := false
	err := c.socket.Control(func(fd uintptr) {
		poll := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(poll[:], 0)
		closed = err == nil && n == 1 && poll[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return err == nil && closed
}

// unsentLimit is how much the system holds for a client beyond what is on its way to it, in bytes. Linux would hold
// megabytes, and wake a blocked writer only when a third of them is sent: a slow client would look like one that reads
// nothing.
const unsentLimit = 32 << 10

// limitUnsent bounds what the system holds for this client, once for each connection. It costs no throughput: what is
// on its way is not limited.
func (c *clientConn) limitUnsent() {
	if !c.tcp || c.socket == nil || c.limited.Swap(true) {
		return
	}
	_ = c.socket.Control(func(fd uintptr) {
		// Without it the client is only bounded less exactly.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLimit)
	})
}
