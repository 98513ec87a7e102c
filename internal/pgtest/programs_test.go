package pgtest

import (
	"path/filepath"
	"strings"
	"testing"
)

// If PostgreSQL is missing, the error says what to install.
func TestProgramsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, _, err := programs(filepath.Join(t.TempDir(), "*")); err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Errorf("%v", err)
	}
}
