package keyscmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
)

// writeAtomically writes a file with mode 0600: path gets the complete, synced content from write, or stays as it was. An
// existing file is replaced only with force.
func writeAtomically(path string, force bool, write func(io.Writer) error) (err error) {
	if info, err := os.Stat(path); err == nil {
		switch {
		case !info.Mode().IsRegular():
			return cli.Errorf(cli.ExitUsage, "%s is not a regular file", path)
		case !force:
			return cli.Errorf(cli.ExitRejected, "%s already exists: choose another name, or use --force to replace it", path)
		}
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return fmt.Errorf("creating a file in %s: %w", filepath.Dir(path), err)
	}
	defer func() {
		_ = file.Close() // closed twice on success
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
	} else if err = os.Link(file.Name(), path); err == nil { // unlike Rename, Link does not replace a file
		err = os.Remove(file.Name())
	} else if !errors.Is(err, fs.ErrExist) {
		err = os.Rename(file.Name(), path) // the file system has no hard links
	}
	if err != nil {
		return fmt.Errorf("renaming the file to %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a new file name durable. It ignores errors: not all systems can sync a directory.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer dir.Close()
	_ = dir.Sync()
	return nil
}

func backupCommand() *cobra.Command {
	var (
		where connFlags
		force bool
	)
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Back up the store while the gate runs",
		Long: `
Write a consistent copy of the store, with all keys, their usage and the audit trail, while the gate keeps running. FILE appears
when it is complete. To restore a backup, stop the gate and replace the store file with it.

DocsGPT keys are encrypted in the store and in its backups. The encryption key is the file next to the store whose name ends in
".secret". Back it up too, and keep that copy in another place.`,
		Example: `  $ docsgate keys backup "/backup/keys-$(date +%F).db"`,
		Args:    cli.Args(1, 1, "name the file to write the backup to"),
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		err := writeAtomically(args[0], force, func(w io.Writer) error { return g.Download(ctx, "/v1/backup", w) })
		if err == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "The store was backed up to %s.\n", args[0])
		}
		return err
	})
	cmd.Flags().BoolVar(&force, "force", false, "Replace FILE if it exists")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}
