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

	"github.com/docsgate/docsgate/keys"
)

// docsGPTKey is the form of DocsGPT's own keys, which are secrets. An agent is named by a reference.
var docsGPTKey = regexp.MustCompile(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)

// createRequest is a key to be made, as the API takes it.
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
		Short: "Makes a key and prints its token, once",
		Long: `
Makes a key and prints its token alone on the standard output, where it can be piped from. The gate does not keep the token,
so it cannot be shown again.

A key is bound to one or more of DocsGPT's document sources, or to a DocsGPT agent. An agent is given as a reference: a
placeholder, {env.NAME} or {file.PATH}, which the gate resolves, or the ID of a key of another feed that is bound to one. Or
its DocsGPT key itself is read from the standard input, never from the command line; the store keeps it sealed.

--expires and --not-before take a span of time from now (90d, 2w, 36h), a day, which begins at 00:00 UTC (2027-01-01), or a
moment (2027-01-01T12:00:00+01:00).

If the connection with the gate breaks, the same request is made once more; that never makes two keys.`,
		Example: `  $ docsgate keys create --name "Docs site" --source 3f1c0a52-9f0e-4c3f-8f0b-5a7d3f1c2e44 --expires 90d
  $ docsgate keys create --name Support --agent {env.SUPPORT_AGENT_KEY} > token.txt
  $ pass show docsgpt/support | docsgate keys create --name Support --agent-key-stdin
  $ docsgate keys create --name CI --source ID --json | jq -r .token`,
		Args: arguments(0, 0, "name the key with --name; a source goes behind --source"),
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, _ []string) error {
		var made keyAnswer
		if err := g.call(ctx, http.MethodPost, "/v1/keys", d, uuid.NewString(), &made); err != nil {
			return err
		}
		return printToken(cmd, &made, asJSON, "made")
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
			return failf(exitUsage, "this has the form of a DocsGPT key, which does not go onto the command line: give it with "+
				"--agent-key-stdin, and make a new one in DocsGPT, since this one stays in the history of the shell")
		}
		now := time.Now()
		for _, m := range []struct {
			flag, text string
			to         **time.Time
		}{{"not-before", notBefore, &d.NotBefore}, {"expires", expires, &d.Expires}} {
			if m.text == "" {
				continue
			}
			at, err := parseTime(m.text, now)
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
	flags.StringVar(&d.Name, "name", "", "Name of the key, for people")
	flags.StringSliceVar(&d.Sources, "source", nil, "ID of a DocsGPT source; several: repeat it, or separate them with commas")
	flags.StringVar(&d.Agent, "agent", "", "Reference to a DocsGPT agent: {env.NAME}, {file.PATH} or the ID of a key")
	flags.BoolVar(&fromStdin, "agent-key-stdin", false, "Read a DocsGPT key from the standard input, or ask for it")
	flags.StringVar(&notBefore, "not-before", "", "When the key begins to count")
	flags.StringVar(&expires, "expires", "", "When the key ends to count")
	flags.StringVar(&d.Prompt, "prompt-id", "", "Prompt of the key, as old versions of DocsGPT had it; only shown")
	flags.StringVar(&d.Chunks, "chunks", "", "Chunks of the key, as old versions of DocsGPT had it; only shown")
	flags.StringVar(&d.Retriever, "retriever", "", "Retriever of the key, as old versions of DocsGPT had it; only shown")
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
		Use:   "rotate KEY [--grace SPAN]",
		Short: "Gives a key a new token and prints it, once",
		Long: `
Gives a key a new token and prints that alone on the standard output. ID, binding and all else stay. The token that it
replaces goes on to count for the span of time given by --grace, at most 30 days; without it the old token ends at once.
"keys show" tells whether the old token is still used.`,
		Example: `  $ docsgate keys rotate "Docs site" --grace 7d
  $ docsgate keys rotate key_01k9s8q7v3t2m6n4x5c8b7a9ze > token.txt`,
		Args:              arguments(1, 1, "name one key by its ID or name"),
		ValidArgsFunction: where.completeKeys("active", "disabled", "expired", "not_yet_valid"),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := parseDuration(grace); err != nil {
			return exit(cmd, failf(exitUsage, "--grace: %w", err))
		}
		return nil
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		k, err := g.find(ctx, args[0])
		if err != nil {
			return err
		}
		span, err := parseDuration(grace)
		if err != nil {
			return err
		}
		var made keyAnswer
		in := struct {
			Grace string `json:"grace"`
		}{span.String()}
		err = g.call(ctx, http.MethodPost, keyPath(k.ID)+"/rotate", in, uuid.NewString(), &made)
		if broken := (*uncertainError)(nil); errors.As(err, &broken) {
			return fmt.Errorf("%w\nThe key may have a new token now, which nobody has seen: see \"keys show %s\", and rotate it "+
				"again", err, sanitize(k.ID))
		}
		if err != nil {
			return err
		}
		return printToken(cmd, &made, asJSON, "rotated")
	})
	cmd.Flags().StringVar(&grace, "grace", "0s", "How long the old token counts yet, such as 24h or 7d")
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the key, with the token, as one line of JSON")
	where.add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// checkToken refuses a token that no gate has made: it would be printed as it is, on a terminal or into a pipe.
func checkToken(token, id string) error {
	if keys.HasValidChecksum(token) {
		return nil
	}
	return failf(exitUnreachable, "the token for the key %s has not the form of a gate's tokens, so it is not printed: look whether "+
		"this is the right gate, and rotate the key",
		sanitize(id))
}

// printToken prints a key's new token. If that fails the token is lost, which the error says.
func printToken(cmd *cobra.Command, made *keyAnswer, asJSON bool, what string) error {
	out := cmd.OutOrStdout()
	if made.Token == "" {
		return failf(exitUnreachable, "the gate gave no token for the key %s", sanitize(made.ID))
	}
	err := checkToken(made.Token, made.ID)
	if err != nil {
		return err
	}
	if asJSON {
		err = jsonLine(out, made.raw)
	} else {
		_, err = io.WriteString(out, made.Token+"\n")
	}
	notes := cmd.ErrOrStderr()
	fmt.Fprintf(notes, "Key %s (%s) is %s.\n", sanitize(made.ID), sanitize(made.Name), what)
	if err != nil {
		return fmt.Errorf("printing the token: %w. It cannot be shown again: rotate the key for another one", err)
	}
	fmt.Fprintln(notes, "The token is shown this once; the gate does not keep it.")
	if made.OldUntil != nil {
		fmt.Fprintf(notes, "The old token counts until %s.\n", moment(made.OldUntil))
	}
	if made.Problem != "" {
		fmt.Fprintf(notes, "It cannot be used yet: %s\n", sanitize(made.Problem))
	}
	return nil
}
