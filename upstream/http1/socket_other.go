//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package http1

import "errors"

// Supported reports whether the package works on this system. It needs to know whether a server has closed an idle connection,
// without waiting.
const Supported = false

var errWouldBlock = errors.ErrUnsupported

func readSocket(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

func isQuiet(uintptr) bool { return false }
