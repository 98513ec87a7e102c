// Package testprocess runs the server programs of tests. On Linux they end with the process of the test, even if that is killed.
package testprocess

import (
	"os/exec"
	"syscall"
)

// Start starts a program. The channel is closed when the program has ended; its output may be read then. The caller must not call
// cmd.Wait. On Linux the program receives the signal when this process ends.
func Start(cmd *exec.Cmd, signal syscall.Signal) (ended <-chan struct{}, err error) {
	c := make(chan struct{})
	if err := start(cmd, signal, c); err != nil {
		return nil, err
	}
	return c, nil
}
