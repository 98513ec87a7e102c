package keyscmd

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
)

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
		err := writeFile(args[0], force, func(w io.Writer) error { return g.Download(ctx, "/v1/backup", w) })
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
