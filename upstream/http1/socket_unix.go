//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package http1

import (
	"errors"
	"syscall"
)

// Supported reports whether the package works on this system. It needs to know whether a server has closed an idle connection,
// without waiting.
const Supported = true

// errWouldBlock is returned by readSocket if there are no bytes yet.
var errWouldBlock error = syscall.EAGAIN

// readSocket reads the bytes that have arrived at a socket. It returns 0 and no error at the end.
func readSocket(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		if !errors.Is(err, syscall.EINTR) {
			return max(n, 0), err
		}
	}
}

// isQuiet reports whether a socket is open and has nothing to read: neither bytes nor the end.
func isQuiet(fd uintptr) bool {
	for {
		var p [1]byte
		_, _, err := syscall.Recvfrom(int(fd), p[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if !errors.Is(err, syscall.EINTR) {
			return errors.Is(err, syscall.EAGAIN)
		}
	}
}
