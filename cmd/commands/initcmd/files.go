package initcmd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/internal/atomicfile"
)

// files are the paths of the files that are written.
type files struct{ dir, caddyfile, env string }

func filesIn(dir string) files {
	return files{dir: dir, caddyfile: filepath.Join(dir, "Caddyfile"), env: filepath.Join(dir, "docsgate.env")}
}

// checkNew returns an error if one of the files exists.
func (f files) checkNew() error {
	for _, path := range []string{f.caddyfile, f.env} {
		switch _, err := os.Lstat(path); {
		case err == nil:
			return errExists(path)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	return nil
}

func errExists(path string) error {
	return cli.Errorf(cli.ExitRejected, "%s already exists, and is not overwritten: move it away, or choose another folder with --output", path)
}

// write creates the files and their folder. An existing file is never replaced, and if one file cannot be written, none remains.
// env is empty if it is not needed.
func (f files) write(caddyfile, env string) error {
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return err
	}
	if env != "" {
		if err := writeNew(f.env, env, 0o600); err != nil {
			return err
		}
	}
	err := writeNew(f.caddyfile, caddyfile, 0o644)
	if err != nil && env != "" {
		err = errors.Join(err, os.Remove(f.env))
	}
	return err
}

func writeNew(path, text string, mode fs.FileMode) error {
	err := atomicfile.WriteNewFunc(path, func(w io.Writer) error {
		if file, ok := w.(*os.File); ok {
			if err := file.Chmod(mode); err != nil {
				return err
			}
		}
		_, err := io.WriteString(w, text)
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		return errExists(path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
