package main

import (
	"errors"
	"os/exec"
)

// leadProcessGroup does nothing, since Windows has no process groups.
func leadProcessGroup(*exec.Cmd) {}

// killProcessGroup kills a command, without its subprocesses. It may have ended already.
func killProcessGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

// processGroup always fails.
func processGroup(int) (int, error) { return 0, errors.ErrUnsupported }
