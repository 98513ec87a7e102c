package pgtest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Standby starts a second server that follows the first one and can only be read, with all databases that there are. It ends
// with the test. It returns its address, for the place of Host.
func Standby(t testing.TB) (host string) {
	t.Helper()
	folder, err := os.MkdirTemp(server.folder, "standby-")
	if err != nil {
		t.Fatalf("making a folder: %v", err)
	}
	if server.who, err = unprivileged(folder); err != nil {
		t.Fatal(err)
	}
	address, port, err := net.SplitHostPort(server.host)
	if err != nil {
		t.Fatalf("the server's address: %v", err)
	}
	data := filepath.Join(folder, "data")
	program := filepath.Join(filepath.Dir(server.postgres), "pg_basebackup")
	//nolint:gosec // the program is the server's own
	copying := exec.CommandContext(t.Context(), program, "-h", address, "-p", port, "-U", "postgres", "-D", data, "-R", "-c", "fast", "-N")
	copying.Dir = folder
	server.who.apply(copying)
	if out, err := copying.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, strings.TrimSpace(string(out)))
	}
	host, stop, err := run(data)
	if err != nil {
		t.Fatalf("a standby server for the tests: %v", err)
	}
	t.Cleanup(stop)
	return host
}
