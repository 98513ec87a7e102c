package keyscmd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/internal/atomicfile"
)

// writeFile writes a file with mode 0600: path gets the complete, synced content from write, or stays as it was. An existing file
// is replaced only with force.
func writeFile(path string, force bool, write func(io.Writer) error) error {
	exists := cli.Errorf(cli.ExitRejected, "%s already exists: choose another name, or use --force to replace it", path)
	if info, err := os.Stat(path); err == nil { // before write, which may take long
		switch {
		case !info.Mode().IsRegular():
			return cli.Errorf(cli.ExitUsage, "%s is not a regular file", path)
		case !force:
			return exists
		}
	}
	writeErr := error(nil)
	content := func(w io.Writer) error {
		writeErr = write(w)
		return writeErr
	}
	store := atomicfile.WriteNewFunc
	if force {
		store = atomicfile.ReplaceFunc
	}
	err := store(path, content)
	switch {
	case err == nil || writeErr != nil:
		return writeErr
	case errors.Is(err, fs.ErrExist):
		return exists
	}
	return fmt.Errorf("writing %s: %w", path, err)
}
