//go:build !unix

package pgtest

import (
	"os"
	"os/exec"
)

// fastShutdown is the signal that ends PostgreSQL.
var fastShutdown = os.Kill

// account is the account that runs the server: the current one.
type account struct{}

func unprivileged(string) (account, error) { return account{}, nil }

func (account) apply(*exec.Cmd) {}
