//go:build !linux

package lifecycle

// disconnected reports false: only on Linux it is known without reading. On other systems the next write notices that a
// client has sent a byte ahead and disconnected.
func (*clientConn) disconnected() bool { return false }

// limitUnsent does nothing; the default buffers of the system are used.
func (*clientConn) limitUnsent() {}
