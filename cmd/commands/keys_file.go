package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// writeWhole writes a file, 0600, in one step: what write gives it appears under its name when it is complete and on disk, or
// not at all. A file that exists is replaced only with force.
func writeWhole(path string, force bool, write func(io.Writer) error) (err error) {
	if info, err := os.Stat(path); err == nil {
		switch {
		case !info.Mode().IsRegular():
			return failf(exitUsage, "%s is no regular file", path)
		case !force:
			return failf(exitRefused, "%s exists already: choose another name, or say --force to replace it", path)
		}
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return fmt.Errorf("making a file in %s: %w", filepath.Dir(path), err)
	}
	defer func() {
		_ = file.Close() // a second time after success
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	if err := write(file); err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", file.Name(), err)
	}
	if force {
		err = os.Rename(file.Name(), path)
	} else if err = os.Link(file.Name(), path); err == nil { // unlike Rename it replaces nothing
		err = os.Remove(file.Name())
	} else if !errors.Is(err, fs.ErrExist) {
		err = os.Rename(file.Name(), path) // a file system without links
	}
	if err != nil {
		return fmt.Errorf("naming the file %s: %w", path, err)
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a new name durable. Systems that cannot do that for a folder are left alone.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer folder.Close()
	_ = folder.Sync()
	return nil
}

func backupCommand() *cobra.Command {
	var (
		where connFlags
		force bool
	)
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Writes a copy of the store, while the gate runs",
		Long: `
Writes a copy of the store as of one moment, with all keys, their use and the audit trail. The gate goes on meanwhile. The file
appears when it is complete. To go back to it, stop the gate and put it where the store's file is.

DocsGPT keys that agents are bound to are sealed in it. What opens them is the file beside the store whose name ends in
".secret"; keep a copy of that too, in another place.`,
		Example: `  $ docsgate keys backup "/backup/keys-$(date +%F).db"`,
		Args:    arguments(1, 1, "name the file to write the copy to"),
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		err := writeWhole(args[0], force, func(w io.Writer) error { return g.download(ctx, "/v1/backup", w) })
		if err == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "The store is copied to %s.\n", args[0])
		}
		return err
	})
	cmd.Flags().BoolVar(&force, "force", false, "Replace the file if it exists")
	where.add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// download copies the body of an answer, which may be of any length. An answer without one is no good.
func (g *client) download(ctx context.Context, path string, w io.Writer) error {
	resp, err := g.send(ctx, http.MethodGet, path, nil, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(w, &readErrReader{resp.Body})
	if broken := (*readError)(nil); errors.As(err, &broken) {
		return g.wrapTransportError(broken.err)
	}
	if err == nil && n == 0 {
		return failf(exitUnreachable, "%s gave an empty answer", g.name)
	}
	return err
}

// readErrReader tells errors of reading from those of writing what was read.
type readErrReader struct{ io.Reader }

// readError is an error of reading.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }

// Read implements io.Reader.
func (m *readErrReader) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &readError{err}
	}
	return n, err
}
