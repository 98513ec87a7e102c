//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// leadProcessGroup lets a command that has not been started lead a new process group, with the subprocesses that it starts.
func leadProcessGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killProcessGroup kills the group of such a command. It may have ended already.
func killProcessGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// processGroup returns the process group of a process.
func processGroup(pid int) (int, error) { return syscall.Getpgid(pid) }
