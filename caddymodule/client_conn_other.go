//go:build !linux

package caddymodule

// disconnected reports whether the client has closed its end. Only Linux tells without reading; elsewhere a client that
// has sent a byte ahead and disconnects is noticed with the next write.
func (*clientConn) disconnected() bool { return false }

// limitUnsent does nothing here: the system's own buffers count.
func (*clientConn) limitUnsent() {}
