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
	folder, err := os.MkdirTemp(server.folder, "standby-")
	if err != nil {
		t.Fatalf("creating a folder: %v", err)
	}
	if server.account, err = unprivileged(folder); err != nil {
		t.Fatal(err)
	}
	address, port, err := net.SplitHostPort(server.host)
	if err != nil {
		t.Fatalf("the server's address: %v", err)
	}
	data := filepath.Join(folder, "data")
	program := filepath.Join(filepath.Dir(server.postgres), "pg_basebackup")
	//nolint:gosec // the program is the server's own
	cmd := exec.CommandContext(t.Context(), program, "-h", address, "-p", port, "-U", "postgres", "-D", data, "-R", "-c", "fast", "-N")
	cmd.Dir = folder
	server.account.apply(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, strings.TrimSpace(string(out)))
	}
	host, stop, err := run(data)
	if err != nil {
		t.Fatalf("starting a standby server for the tests: %v", err)
	}
	t.Cleanup(stop)
	return host
}
