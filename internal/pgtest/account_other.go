//go:build !unix

package pgtest

import (
	"os"
	"os/exec"
)

var quick = os.Kill

// account is who runs the server: here nobody else than who runs the tests.
type account struct{}

func unprivileged(string) (account, error) { return account{}, nil }

func (account) apply(*exec.Cmd) {}
