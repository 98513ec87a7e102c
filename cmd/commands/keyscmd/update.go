package keyscmd

import (
	"context"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/internal/duration"
)

// never is the value of --expires that removes the expiry.
const never = "never"

func updateCommand() *cobra.Command {
	var (
		where                connFlags
		restrictions         policyFlags
		name, expires, agent string
		sources              []string
		fields               map[string]any // of the request
		asJSON               bool
	)
	cmd := &cobra.Command{
		Use:   "update KEY [--name NAME] [--expires WHEN] [--source ID... | --agent REF] [--kind KIND] [--origin ORIGIN...] ...",
		Short: "Change the name, expiry, binding or policy of a key",
		Long: `
Change a key. What no flag names stays as it is. The change applies to the next request, and the token stays the same: a new kind does
not change its prefix until the key is rotated.

` + policyHelp + `

The values of --source, --origin, --ip, --endpoint and --sign-public-key replace the previous list; an empty value, as in --origin "",
removes the restriction, and --kind "" the kind. --limit NAME=default restores the default of the site. --expires takes a duration from now, a date or
a time as in "keys create", or never.

--visitors optional and required need a secret, which "keys rotate-sign-secret" creates, or --sign-public-key.

Of a key of DocsGPT only the policy can be changed here. It is stored by the ID of the key, and applies in addition to the origins that
DocsGPT allows. For a key of a key file, change it in the file instead: the gate reloads the file automatically.`,
		Example: `  $ docsgate keys update "Docs site" --kind publishable --origin https://docs.example.com --limit visitor_requests=20/1m
  $ docsgate keys update "Docs site" --limit streams=off --limit requests=default --expires never
  $ docsgate keys update key_01k9s8q7v3t2m6n4x5c8b7a9ze --ip "" --name "Help site"`,
		Args:              cli.Args(1, 1, "name one key by its ID or name"),
		ValidArgsFunction: where.completeKeys("active", "disabled", "expired", "not_yet_valid", "unusable"),
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		k, err := g.findToUpdate(ctx, args[0], changeInFile)
		if err != nil {
			return err
		}
		var updated key
		if err := g.Call(ctx, http.MethodPatch, keyPath(k.ID), fields, "", &updated); err != nil {
			return err
		}
		return changed(cmd, &updated, "updated", asJSON)
	})
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		defer func() { err = cli.Exit(cmd, err) }()
		fields = make(map[string]any)
		if cmd.Flags().Changed("name") {
			fields["name"] = name
		}
		if cmd.Flags().Changed("expires") {
			fields["expires"] = nil
			if expires != never {
				at, err := duration.ParseTime(expires, time.Now())
				if err != nil {
					return cli.Errorf(cli.ExitUsage, "--expires: %w", err)
				}
				fields["expires"] = at
			}
		}
		bySource, byAgent := cmd.Flags().Changed("source"), cmd.Flags().Changed("agent")
		switch {
		case bySource && byAgent:
			return cli.Errorf(cli.ExitUsage, "--source and --agent are mutually exclusive")
		case bySource && len(sources) == 0, byAgent && agent == "":
			return cli.Errorf(cli.ExitUsage, "a key must be bound: --source and --agent need a value")
		case bySource:
			fields["sources"] = sources
		case byAgent:
			if err := checkAgentFlag(agent); err != nil {
				return err
			}
			fields["agent"] = agent
		}
		if err := restrictions.addChanges(cmd, fields); err != nil {
			return err
		}
		if len(fields) == 0 {
			return cli.Errorf(cli.ExitUsage, "nothing to change: use at least one of the flags, see --help")
		}
		return nil
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "New name of the key")
	flags.StringVar(&expires, "expires", "", "Duration or time after which the key expires; never removes the expiry")
	flags.StringSliceVar(&sources, "source", nil, "ID of a DocsGPT source to bind the key to instead; repeat the flag, or separate IDs with commas")
	flags.StringVar(&agent, "agent", "", "DocsGPT agent to bind the key to instead: {env.NAME}, {file.PATH}, or the ID of a key of another feed")
	flags.BoolVar(&asJSON, "json", false, "Print the key as one line of JSON")
	restrictions.add(cmd)
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}
