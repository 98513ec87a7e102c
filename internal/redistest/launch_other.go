//go:build !linux

package redistest

import "os/exec"

// launch starts a program and closes ended when it has ended.
func launch(cmd *exec.Cmd, ended chan<- struct{}) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return nil
}
