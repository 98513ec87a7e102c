package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/docsgate/docsgate/internal/pgtest"
)

// binary is the path of docsgate.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if binary = os.Getenv("DOCSGATE_BIN"); binary != "" {
		return pgtest.Main(m)
	}
	dir, err := os.MkdirTemp("", "docsgate-cluster-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		binary = filepath.Join(dir, "docsgate")
		err = build(binary)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "building docsgate: %v\n", err)
		return 1
	}
	return pgtest.Main(m)
}

// build builds docsgate with the flags of the Makefile, so that the build cache is shared.
func build(path string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-tags=nobadger,nomysql,nopgx", "-o", path, "../../cmd/docsgate")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
