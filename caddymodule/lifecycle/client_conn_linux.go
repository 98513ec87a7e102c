package lifecycle

import "golang.org/x/sys/unix"

// disconnected reports whether the client has closed the connection, or the connection is broken. It does not read from
// the socket.
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

// unsentLimit is how much unsent data the kernel buffers for a client, in bytes. By default Linux buffers megabytes and
// wakes a blocked writer only when a third of them is sent, so a slow client would look like one that reads nothing.
const unsentLimit = 32 << 10

// limitUnsent limits the unsent data of the connection, once. It does not reduce the throughput, since data in transit is
// not limited.
func (c *clientConn) limitUnsent() {
	if !c.tcp || c.socket == nil || c.limited.Swap(true) {
		return
	}
	_ = c.socket.Control(func(fd uintptr) {
		// On failure the limits of ClientWriter are only less exact.
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentLimit)
	})
}
