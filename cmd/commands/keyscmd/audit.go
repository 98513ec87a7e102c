package keyscmd

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/internal/duration"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

var auditTrail = recordList[api.AuditEntry]{
	path: "/v1/audit", field: "entries", one: "change", more: "changes", order: "newest",
	heading: []string{"WHEN", "WHO", "FROM", "ACTION", "KEY", "NAME", "DETAIL"},
	row: func(e *api.AuditEntry) []string {
		return []string{formatTime(&e.At), e.Actor, e.RemoteAddr, string(e.Action), e.Key, e.Name, e.Detail}
	},
}

func auditCommand() *cobra.Command {
	var (
		where                       connFlags
		list                        listFlags
		action, actor, since, until string
	)
	cmd := &cobra.Command{
		Use:   "audit [KEY]",
		Short: "List changes to keys, newest first",
		Long: `
List the changes to all keys, or to one, newest first: when, by whom, from where, and what. The audit trail never contains a
token. Of a deleted key, KEY must be the ID.

--since and --until take the duration up to now (7d, 36h), a date, which means 00:00 UTC (2027-01-01), or a time
(2027-01-01T12:00:00+01:00). Changes at the time of --until are not listed.

With --json each entry is one line of JSON, in the format of the API.`,
		Example: `  $ docsgate keys audit
  $ docsgate keys audit --action revoked --actor alice --since 30d
  $ docsgate keys audit "Docs site" --all --json | jq -r 'select(.action == "rotated") | .at'`,
		Args:              cli.Args(0, 1, "name one key by its ID or name, or none for the changes to all keys"),
		ValidArgsFunction: where.completeKeys(),
	}
	query := url.Values{}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := list.check(cmd, auditTrail.more); err != nil {
			return cli.Exit(cmd, err)
		}
		if action != "" && !slices.Contains(auditActions(), action) {
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--action must be one of %s", strings.Join(auditActions(), ", ")))
		}
		for name, value := range map[string]string{"action": action, "actor": actor} {
			if value != "" {
				query.Set(name, value)
			}
		}
		now := time.Now()
		for _, bound := range []struct{ name, text string }{{"since", since}, {"until", until}} {
			if bound.text == "" {
				continue
			}
			at, err := pastTime(bound.text, now)
			if err != nil {
				return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--%s: %w", bound.name, err))
			}
			query.Set(bound.name, at.Format(time.RFC3339))
		}
		return nil
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			id, err := g.findAudited(ctx, args[0])
			if err != nil {
				return err
			}
			query.Set("key", id)
		}
		return auditTrail.print(ctx, g, cmd, query, &list)
	})
	flags := cmd.Flags()
	flags.StringVar(&action, "action", "", "Only changes of this kind: "+strings.Join(auditActions(), ", "))
	flags.StringVar(&actor, "actor", "", "Only changes by actors with this text in their name")
	flags.StringVar(&since, "since", "", "Only changes since this time, or within this duration")
	flags.StringVar(&until, "until", "", "Only changes before this time, or longer ago than this duration")
	list.add(cmd, auditTrail.one, auditTrail.more)
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// findAudited returns the ID of a key that is, or was, in the store.
func (g *client) findAudited(ctx context.Context, idOrName string) (string, error) {
	k, err := g.find(ctx, idOrName)
	if err == nil {
		return k.ID, nil
	}
	if cli.Status(err) != cli.ExitNotFound || !keys.IsValidID(idOrName) {
		return "", err
	}
	var page struct {
		Entries []api.AuditEntry `json:"entries"`
	}
	query := url.Values{"key": {idOrName}, "limit": {"1"}}
	if callErr := g.Call(ctx, http.MethodGet, auditTrail.path+"?"+query.Encode(), nil, "", &page); callErr != nil || len(page.Entries) == 0 {
		return "", errors.Join(err, callErr)
	}
	return idOrName, nil
}

// auditActions returns the names of the actions in the audit trail.
func auditActions() []string {
	var names []string
	for _, action := range registry.Actions() {
		names = append(names, string(action))
	}
	return names
}

// pastTime parses a time, or a duration up to now.
func pastTime(text string, now time.Time) (time.Time, error) {
	if d, err := duration.Parse(text); err == nil {
		return now.Add(-d).UTC().Truncate(time.Second), nil
	}
	return duration.ParseTime(text, now)
}
