package keyscmd

import (
	"context"
	"net/http"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/internal/duration"
)

// docsGPTKey matches DocsGPT's own keys. They are secrets, unlike references to agents.
var docsGPTKey = regexp.MustCompile(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)

func createCommand() *cobra.Command {
	var (
		where              connFlags
		d                  api.KeyRequest
		restrictions       policyFlags
		notBefore, expires string
		fromStdin, asJSON  bool
	)
	cmd := &cobra.Command{
		Use:   "create --name NAME (--source ID... | --agent REF | --agent-key-stdin)",
		Short: "Create a key and print its token",
		Long: `
Create a key and print its token alone on standard output, so that it can be piped. The gate does not store the token, so it
cannot be shown again.

A key is bound to one or more of DocsGPT's document sources, or to a DocsGPT agent. An agent is given as a reference: either a
placeholder, {env.NAME} or {file.PATH}, which the gate resolves, or the ID of a key of another feed that is bound to an agent.
Alternatively the DocsGPT key of the agent is read from standard input, never from the command line; the store keeps it
encrypted.

--expires and --not-before take a duration from now (90d, 2w, 36h), a date, which means 00:00 UTC (2027-01-01), or a time
(2027-01-01T12:00:00+01:00).

` + policyHelp + `

With --visitors optional or required, and without --sign-public-key, the gate also generates a secret with which your server signs tokens
of its visitors, and prints it on a second line.

The token begins with dgp_ if the key is publishable, with dgs_ if it is secret, and with dgk_ otherwise.

If the connection to the gate fails, the same request is retried once; that never creates two keys.`,
		Example: `  $ docsgate keys create --name "Docs site" --source 3f1c0a52-9f0e-4c3f-8f0b-5a7d3f1c2e44 --expires 90d
  $ docsgate keys create --name Widget --source ID --kind publishable --origin https://docs.example.com --limit visitor_requests=20/1m
  $ docsgate keys create --name Support --agent {env.SUPPORT_AGENT_KEY} > token.txt
  $ pass show docsgpt/support | docsgate keys create --name Support --agent-key-stdin
  $ docsgate keys create --name CI --source ID --json | jq -r .token`,
		Args: cli.Args(0, 0, "this command takes no arguments: name the key with --name, and a source with --source"),
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, _ []string) error {
		var created key
		if err := g.Call(ctx, http.MethodPost, "/v1/keys", d, uuid.NewString(), &created); err != nil {
			return err
		}
		return printToken(cmd, &created, asJSON, "created")
	})
	where.Creates = true
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		defer func() { err = cli.Exit(cmd, err) }()
		bindings := 0
		for _, is := range []bool{len(d.Sources) > 0, d.Agent != "", fromStdin} {
			if is {
				bindings++
			}
		}
		switch {
		case d.Name == "":
			return cli.Errorf(cli.ExitUsage, "name the key with --name")
		case bindings != 1:
			return cli.Errorf(cli.ExitUsage, "bind the key with exactly one of --source, --agent and --agent-key-stdin")
		}
		if err := checkAgentFlag(d.Agent); err != nil {
			return err
		}
		if d.PolicyRequest, err = restrictions.request(); err != nil {
			return err
		}
		d.SignPublicKeys = restrictions.publicKeys
		now := time.Now()
		for _, m := range []struct {
			flag, text string
			to         **time.Time
		}{{"not-before", notBefore, &d.NotBefore}, {"expires", expires, &d.Expires}} {
			if m.text == "" {
				continue
			}
			at, err := duration.ParseTime(m.text, now)
			if err != nil {
				return cli.Errorf(cli.ExitUsage, "--%s: %w", m.flag, err)
			}
			*m.to = &at
		}
		if fromStdin {
			d.AgentKey, err = cli.ReadAgentKey(cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return cli.WithStatus(cli.ExitUsage, err)
			}
		}
		return nil
	}
	flags := cmd.Flags()
	flags.StringVar(&d.Name, "name", "", "Name of the key (required)")
	flags.StringSliceVar(&d.Sources, "source", nil, "ID of a DocsGPT source; repeat the flag, or separate IDs with commas")
	flags.StringVar(&d.Agent, "agent", "", "Reference to a DocsGPT agent: {env.NAME}, {file.PATH}, or the ID of a key of another feed")
	flags.BoolVar(&fromStdin, "agent-key-stdin", false, "Read the DocsGPT key of an agent from standard input; prompt for it at a terminal")
	flags.StringVar(&notBefore, "not-before", "", "Duration or time from which the key is valid (default: immediately)")
	flags.StringVar(&expires, "expires", "", "Duration or time after which the key expires (default: never)")
	flags.StringVar(&d.Prompt, "prompt-id", "", "Prompt ID, as in keys of old DocsGPT versions; informational")
	flags.StringVar(&d.Chunks, "chunks", "", "Number of chunks, as in keys of old DocsGPT versions; informational")
	flags.StringVar(&d.Retriever, "retriever", "", "Retriever, as in keys of old DocsGPT versions; informational")
	flags.BoolVar(&asJSON, "json", false, "Print the key, with the token, as one line of JSON")
	restrictions.add(cmd)
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// checkAgentFlag returns an error if the value of --agent is a secret.
func checkAgentFlag(agent string) error {
	if docsGPTKey.MatchString(agent) {
		return cli.Errorf(cli.ExitUsage, "the value of --agent looks like a DocsGPT key, which must not be on the command line: pass it with "+
			"--agent-key-stdin of \"keys create\", and create a new one in DocsGPT, because this one stays in the shell history")
	}
	return nil
}
