package keyscmd

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
)

func TestWriteFile(t *testing.T) {
	write := func(text string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		}
	}
	fails := func(w io.Writer) error {
		_, _ = io.WriteString(w, "half")
		return errors.New("broken")
	}
	for _, c := range []struct {
		name   string
		before string // content of the file; empty: none
		force  bool
		write  func(io.Writer) error
		status int
		after  string
	}{
		{"a new file", "", false, write("new"), 0, "new"},
		{"a new file, with force", "", true, write("new"), 0, "new"},
		{"a file is not replaced", "old", false, write("new"), cli.ExitRejected, "old"},
		{"a file is replaced with force", "old", true, write("new"), 0, "new"},
		{"a failure leaves no half file", "", false, fails, cli.ExitFailed, ""},
		{"a failure leaves the file that was there", "old", true, fails, cli.ExitFailed, "old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			if c.before != "" {
				if err := os.WriteFile(path, []byte(c.before), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := writeFile(path, c.force, c.write); cli.Status(err) != c.status {
				t.Errorf("status %d: %v", cli.Status(err), err)
			}
			data, err := os.ReadFile(path)
			if string(data) != c.after || (err != nil) != (c.after == "") {
				t.Errorf("%q %v", data, err)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 1 || c.after == "" && len(entries) > 0 {
				t.Errorf("left over: %v %v", entries, err)
			}
			if info, err := os.Stat(path); c.status == 0 && (err != nil || info.Mode().Perm()&0o077 != 0) {
				t.Errorf("others may read it: %v %v", info, err)
			}
		})
	}
	t.Run("a file that came to be meanwhile is not replaced", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		err := writeFile(path, false, func(io.Writer) error { return os.WriteFile(path, []byte("theirs"), 0o600) })
		if data, _ := os.ReadFile(path); cli.Status(err) != cli.ExitRejected || string(data) != "theirs" {
			t.Errorf("%q %v", data, err)
		}
	})
	t.Run("a directory is not replaced", func(t *testing.T) {
		if err := writeFile(t.TempDir(), true, write("x")); cli.Status(err) != cli.ExitUsage {
			t.Error(err)
		}
	})
}
