//go:build unix

package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// fastShutdown is the signal for PostgreSQL's fast shutdown.
const fastShutdown = syscall.SIGINT

// account is the account that runs the server: PostgreSQL refuses to run as root.
type account struct{ credential *syscall.Credential }

// unprivileged returns the current account. For root it returns another account and makes that the owner of the folder.
func unprivileged(folder string) (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return account{}, fmt.Errorf("the account %s: %w", name, err)
		}
		if err := os.Chown(folder, int(uid), int(gid)); err != nil {
			return account{}, fmt.Errorf("changing the owner of a folder to %s: %w", name, err)
		}
		return account{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
	}
	return account{}, errors.New("PostgreSQL cannot run as root; create one of the accounts \"postgres\" and \"nobody\"")
}

func (a account) apply(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential}
}
