package pgtest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Standby starts a read-only replica of the server with all existing databases, and returns its address, for use in place of Host.
// It is stopped when the test ends.
func Standby(t testing.TB) (host string) {
	t.Helper()
	data := baseBackup(t, server.host)
	host, stop, err := run(data, "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	if err != nil {
		t.Fatalf("starting a standby server for the tests: %v", err)
	}
	t.Cleanup(stop)
	return host
}

// baseBackup copies the data folder of a running server, as that of a standby server.
func baseBackup(t testing.TB, host string) (data string) {
	t.Helper()
	folder := privateFolder(t)
	address, port, err := net.SplitHostPort(host)
	if err != nil {
		t.Fatalf("the server's address: %v", err)
	}
	data = filepath.Join(folder, "data")
	program := filepath.Join(filepath.Dir(server.postgres), "pg_basebackup")
	//nolint:gosec // the program is the server's own
	cmd := exec.CommandContext(t.Context(), program, "-h", address, "-p", port, "-U", "postgres", "-D", data, "-R", "-c", "fast", "-N")
	cmd.Dir = folder
	server.account.apply(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, strings.TrimSpace(string(out)))
	}
	return data
}

// privateFolder creates a folder of the server's account.
func privateFolder(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp(server.folder, "server-")
	if err != nil {
		t.Fatalf("creating a folder: %v", err)
	}
	if server.account, err = unprivileged(folder); err != nil {
		t.Fatal(err)
	}
	return folder
}
