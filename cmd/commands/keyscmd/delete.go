package keyscmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/internal/duration"
)

// deletion is the command "delete".
type deletion struct {
	connFlags
	revokedBefore       string
	yes, asJSON, dryRun bool
}

func deleteCommand() *cobra.Command {
	var d deletion
	cmd := &cobra.Command{
		Use:   "delete [KEY...]",
		Short: "Delete revoked keys permanently",
		Long: `
Delete keys that are revoked: those that are named, or with --revoked-before all that were revoked earlier. A key is removed from the
list, with its binding and policy, its last use and its quotas. Its audit trail stays, and its ID and its token are never used again. The
token of a deleted key is rejected like an unknown one.

--revoked-before takes the duration up to now (90d), a date, which means 00:00 UTC (2027-01-01), or a time
(2027-01-01T12:00:00+01:00). The gate also deletes revoked keys automatically, by default after a year: see delete_revoked_after in its
configuration.

With --dry-run the keys are listed, and none is deleted. At a terminal the command shows the keys and asks for confirmation. Scripts
pass --yes. With --json each deleted key is one line of JSON, as it was.`,
		Example: `  $ docsgate keys delete key_01k9s8q7v3t2m6n4x5c8b7a9ze
  $ docsgate keys delete --revoked-before 90d --dry-run
  $ docsgate keys delete --revoked-before 2027-01-01 --yes`,
		Args:              cli.Args(0, 1000, "name at most 1000 keys, or use --revoked-before"),
		ValidArgsFunction: d.completeKeys("revoked"),
	}
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case (len(args) == 0) == (d.revokedBefore == ""):
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "name the keys by their IDs or names, or use --revoked-before"))
		case !d.yes && !d.dryRun && !terminal.IsTerminal(cmd.InOrStdin()):
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "standard input is not a terminal, so the command cannot ask for confirmation: use --yes to delete the keys"))
		case d.revokedBefore != "":
			if _, err := duration.ParsePast(d.revokedBefore, time.Now()); err != nil {
				return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--revoked-before: %w", err))
			}
		}
		return nil
	}
	cmd.RunE = d.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		found, err := d.find(ctx, g, args)
		if err != nil {
			return err
		}
		return d.deleteAll(ctx, g, cmd, found)
	})
	flags := cmd.Flags()
	flags.StringVar(&d.revokedBefore, "revoked-before", "", "Delete all keys that were revoked before this time, or longer ago than this duration")
	flags.BoolVar(&d.dryRun, "dry-run", false, "List the keys, and delete none")
	flags.BoolVarP(&d.yes, "yes", "y", false, "Do not ask for confirmation")
	flags.BoolVar(&d.asJSON, "json", false, "Print each key as one line of JSON")
	d.Add(cmd)
	completeFlags(cmd, &d.connFlags)
	return cmd
}

// find returns the keys to delete.
func (d *deletion) find(ctx context.Context, g *client, args []string) (found []*key, err error) {
	for _, arg := range args {
		k, err := g.findIssued(ctx, arg)
		if err != nil {
			return nil, err
		}
		if k.State != "revoked" {
			return nil, cli.Errorf(cli.ExitRejected, "the key %s (%s) is not revoked: only a revoked key can be deleted", terminal.Sanitize(k.ID),
				terminal.Sanitize(k.Name))
		}
		found = append(found, k)
	}
	if d.revokedBefore == "" {
		return found, nil
	}
	before, err := duration.ParsePast(d.revokedBefore, time.Now())
	if err != nil {
		return nil, err
	}
	err = g.list(ctx, url.Values{"state": {"revoked"}}, 0, func(k *key) error {
		if k.Issued && k.Changed != nil && k.Changed.Before(before) {
			if !d.asJSON {
				k.raw = nil
			}
			found = append(found, k)
		}
		return nil
	})
	return found, err
}

// maxShown is the number of keys that the question shows.
const maxShown = 20

func (d *deletion) deleteAll(ctx context.Context, g *client, cmd *cobra.Command, found []*key) error {
	notes := cmd.ErrOrStderr()
	if len(found) == 0 {
		fmt.Fprintln(notes, "No key was revoked before that time.")
		return nil
	}
	if d.dryRun {
		if err := d.show(cmd, found); err != nil {
			return err
		}
		fmt.Fprintf(notes, "%s would be deleted.\n", plural(len(found), "key", "keys"))
		return nil
	}
	if !d.yes {
		rows := deletionTable(found[:min(len(found), maxShown)])
		if err := rows.Write(notes); err != nil {
			return err
		}
		if more := len(found) - maxShown; more > 0 {
			fmt.Fprintf(notes, "and %s more\n", plural(more, "key", "keys"))
		}
		fmt.Fprintf(notes, "Delete %s permanently? [y/N] ", plural(len(found), "revoked key", "revoked keys"))
		if err := confirm(ctx, cmd.InOrStdin()); err != nil {
			return err
		}
	}
	deleted := 0
	for _, k := range found {
		err := g.Call(ctx, http.MethodDelete, keyPath(k.ID), nil, "", nil)
		if cli.Status(err) == cli.ExitNotFound {
			continue // deleted meanwhile
		}
		if err != nil {
			return errors.Join(err, d.summary(deleted, len(found)))
		}
		deleted++
		if err := d.report(cmd, k, len(found)); err != nil {
			return err
		}
	}
	if len(found) > 1 {
		fmt.Fprintf(notes, "%s deleted.\n", plural(deleted, "key is", "keys are"))
	}
	return nil
}

// report says that one of n keys is deleted.
func (d *deletion) report(cmd *cobra.Command, k *key, n int) error {
	switch {
	case d.asJSON:
		return terminal.PrintJSON(cmd.OutOrStdout(), k.raw)
	case n == 1:
		return changed(cmd, k, "deleted", false)
	default:
		return nil
	}
}

// summary returns the error that says how many keys were deleted before a failure.
func (d *deletion) summary(deleted, n int) error {
	if n == 1 {
		return nil
	}
	return fmt.Errorf("%d of %d keys were deleted; repeat the command for the others", deleted, n)
}

// show lists keys on standard output.
func (d *deletion) show(cmd *cobra.Command, found []*key) error {
	if !d.asJSON {
		rows := deletionTable(found)
		return rows.Write(cmd.OutOrStdout())
	}
	for _, k := range found {
		if err := terminal.PrintJSON(cmd.OutOrStdout(), k.raw); err != nil {
			return err
		}
	}
	return nil
}

func deletionTable(found []*key) *terminal.Table {
	rows := &terminal.Table{Heading: []string{"ID", "NAME", "REVOKED", "LAST USED"}}
	now := time.Now()
	for _, k := range found {
		rows.Add(k.ID, k.Name, formatTime(k.Changed), relativeTime(k.LastUsed, now))
	}
	return rows
}
