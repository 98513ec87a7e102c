package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/internal/duration"
	"github.com/docsgate/docsgate/keys"
)

// docsGPTKey matches DocsGPT's own keys. They are secrets, unlike references to agents.
var docsGPTKey = regexp.MustCompile(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)

// createRequest is the request that creates a key, as in the API.
type createRequest struct {
	Name      string     `json:"name"`
	Sources   []string   `json:"sources,omitempty"`
	Agent     string     `json:"agent,omitempty"`
	AgentKey  string     `json:"agent_key,omitempty"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"`
	Prompt    string     `json:"prompt_id,omitempty"`
	Chunks    string     `json:"chunks,omitempty"`
	Retriever string     `json:"retriever,omitempty"`
}

func createCommand() *cobra.Command {
	var (
		where              connFlags
		d                  createRequest
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

If the connection to the gate fails, the same request is retried once; that never creates two keys.`,
		Example: `  $ docsgate keys create --name "Docs site" --source 3f1c0a52-9f0e-4c3f-8f0b-5a7d3f1c2e44 --expires 90d
  $ docsgate keys create --name Support --agent {env.SUPPORT_AGENT_KEY} > token.txt
  $ pass show docsgpt/support | docsgate keys create --name Support --agent-key-stdin
  $ docsgate keys create --name CI --source ID --json | jq -r .token`,
		Args: arguments(0, 0, "this command takes no arguments: name the key with --name, and a source with --source"),
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, _ []string) error {
		var created keyResponse
		if err := g.call(ctx, http.MethodPost, "/v1/keys", d, uuid.NewString(), &created); err != nil {
			return err
		}
		return printToken(cmd, &created, asJSON, "created")
	})
	where.creates = true
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		defer func() { err = exit(cmd, err) }()
		bindings := 0
		for _, is := range []bool{len(d.Sources) > 0, d.Agent != "", fromStdin} {
			if is {
				bindings++
			}
		}
		switch {
		case d.Name == "":
			return failf(exitUsage, "name the key with --name")
		case bindings != 1:
			return failf(exitUsage, "bind the key with exactly one of --source, --agent and --agent-key-stdin")
		case docsGPTKey.MatchString(d.Agent):
			return failf(exitUsage, "the value of --agent looks like a DocsGPT key, which must not be on the command line: pass it with "+
				"--agent-key-stdin, and create a new one in DocsGPT, because this one stays in the shell history")
		}
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
				return failf(exitUsage, "--%s: %w", m.flag, err)
			}
			*m.to = &at
		}
		if fromStdin {
			d.AgentKey, err = readSecret(cmd.InOrStdin(), cmd.ErrOrStderr(), theAgentKey)
			if err != nil {
				return &exitError{exitUsage, err}
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
	where.add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

func rotateCommand() *cobra.Command {
	var (
		where  connFlags
		grace  string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "rotate KEY [--grace DURATION]",
		Short: "Replace the token of a key and print the new one",
		Long: `
Replace the token of a key and print the new token alone on standard output. The ID, the binding and everything else stay the
same. The previous token stays valid for the grace period, at most 30 days (30d); without --grace the gate rejects it from the
next request on. "keys show" shows whether the previous token is still used.`,
		Example: `  $ docsgate keys rotate "Docs site" --grace 7d
  $ docsgate keys rotate key_01k9s8q7v3t2m6n4x5c8b7a9ze > token.txt`,
		Args:              arguments(1, 1, "name one key by its ID or name"),
		ValidArgsFunction: where.completeKeys("active", "disabled", "expired", "not_yet_valid"),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := duration.Parse(grace); err != nil {
			return exit(cmd, failf(exitUsage, "--grace: %w", err))
		}
		return nil
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		k, err := g.find(ctx, args[0])
		if err != nil {
			return err
		}
		span, err := duration.Parse(grace)
		if err != nil {
			return err
		}
		var created keyResponse
		in := struct {
			Grace string `json:"grace"`
		}{span.String()}
		err = g.call(ctx, http.MethodPost, keyPath(k.ID)+"/rotate", in, uuid.NewString(), &created)
		if broken := (*uncertainError)(nil); errors.As(err, &broken) {
			return fmt.Errorf("%w\nThe key may have a new token now, which was not printed: see \"keys show %s\", and rotate it "+
				"again", err, sanitize(k.ID))
		}
		if err != nil {
			return err
		}
		return printToken(cmd, &created, asJSON, "rotated")
	})
	cmd.Flags().StringVar(&grace, "grace", "0s", "Grace period: how long the previous token stays valid, such as 24h or 7d; at most 30d")
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the key, with the token, as one line of JSON")
	where.add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// checkToken returns an error for a string that is not a token of a gate: tokens are printed without sanitizing.
func checkToken(token, id string) error {
	if keys.HasValidChecksum(token) {
		return nil
	}
	return failf(exitUnreachable, "the token for the key %s does not have the format of a gate's token, so it is not printed: check "+
		"that this is the right gate, and rotate the key",
		sanitize(id))
}

// printToken prints a key's new token. If that fails, the token is lost, and the error says so.
func printToken(cmd *cobra.Command, created *keyResponse, asJSON bool, what string) error {
	out := cmd.OutOrStdout()
	if created.Token == "" {
		return failf(exitUnreachable, "the response of the gate has no token for the key %s", sanitize(created.ID))
	}
	err := checkToken(created.Token, created.ID)
	if err != nil {
		return err
	}
	if asJSON {
		err = jsonLine(out, created.raw)
	} else {
		_, err = io.WriteString(out, created.Token+"\n")
	}
	notes := cmd.ErrOrStderr()
	fmt.Fprintf(notes, "Key %s (%s) is %s.\n", sanitize(created.ID), sanitize(created.Name), what)
	if err != nil {
		return fmt.Errorf("printing the token: %w. It cannot be shown again: rotate the key to get another one", err)
	}
	fmt.Fprintln(notes, "The gate does not store the token, so it cannot be shown again.")
	if created.PreviousExpires != nil {
		fmt.Fprintf(notes, "The previous token stays valid until %s.\n", formatTime(created.PreviousExpires))
	}
	if created.Problem != "" {
		fmt.Fprintf(notes, "The key is not usable yet: %s\n", sanitize(created.Problem))
	}
	return nil
}
