//go:build !linux

package lifecycle

import "syscall"

const noSteering = -1

// stopAccepting does nothing: on Windows the listeners of two configurations share one socket with its deadline.
func stopAccepting(deadlineListener) error { return nil }

// On other systems the sockets cannot be listed, so the following functions are not called.

func steer(syscall.RawConn, int) error { return nil }

func rejectHandshakes(syscall.RawConn) error { return nil }

func pendingConns(syscall.RawConn) int { return 0 }
