package redistest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// launch starts a program, and closes ended when it has ended. The program ends with this process, even if that is killed.
func launch(cmd *exec.Cmd, ended chan<- struct{}) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the signal is sent when the thread that started the program ends
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
