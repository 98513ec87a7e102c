package pgtest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// launch starts a program that ends with this process, however that ends, and closes ended when the program has.
func launch(cmd *exec.Cmd, ended chan<- struct{}) error {
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the signal comes when the thread ends that started the program
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(ended)
		}
	}()
	return <-started
}
