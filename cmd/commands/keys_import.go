package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	// Limits of the gate for one request: the number of keys, and the size of their JSON.
	importBatch      = 1000
	importBatchBytes = 4 << 20

	// maxImportBytes is above the importer's own limit, so that the importer reports a file that is too large.
	maxImportBytes = 65 << 20
)

// The values of --bind-to.
const (
	bindToSources  = "sources"
	bindToAgentKey = "agent-key"
)

// importItem is a key to import, as in the API.
type importItem struct {
	ID        string     `json:"id,omitempty"`
	Name      string     `json:"name,omitempty"`
	Sources   []string   `json:"sources,omitempty"`
	Agent     string     `json:"agent,omitempty"`
	AgentKey  string     `json:"agent_key,omitempty"`
	SHA256    string     `json:"sha256,omitempty"`
	State     string     `json:"state,omitempty"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"`
	Created   *time.Time `json:"created,omitempty"`
	Prompt    string     `json:"prompt_id,omitempty"`
	Chunks    string     `json:"chunks,omitempty"`
	Retriever string     `json:"retriever,omitempty"`

	place string // its position in the file, and its name, for messages
}

// imported is the result of importing one key.
type imported struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Token    string `json:"token"`
	Existing string `json:"existing"`
}

func importCommand() *cobra.Command {
	var (
		where          connFlags
		format, bindTo string
		dry, asJSON    bool
	)
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Import keys from a key file or from DocsGPT",
		Long: `
Import keys from FILE, or from standard input if FILE is "-". The formats are:

` + importHelp() + `
A key whose token or SHA-256 is in the file keeps that token. A key that the file shows only in masked form gets a new token;
new tokens are printed once on standard output, one per line: ID, token, name. A key that is already in the store with the same
token is not changed, so an import can be repeated.

Placeholders of tokens are resolved by this command, in its environment; placeholders of agents are resolved by the gate.

--bind-to selects what keys from DocsGPT's databases are bound to: "sources", the default, binds a key to the sources of its
record; "agent-key" binds it to the DocsGPT key itself, which the store keeps encrypted and which must be valid in the DocsGPT
behind the gate.

All keys are checked before the first one is imported; with --dry-run they are only checked.`,
		Example: `  $ docsgate keys import keys.yaml --dry-run
  $ docsgate keys import agents.json --bind-to agent-key --json > tokens.jsonl
  $ curl -s localhost:7091/api/get_api_keys | docsgate keys import -`,
		Args: arguments(1, 1, `name one file, or "-" for standard input`),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveDefault
		},
	}
	var data []byte
	cmd.PreRunE = func(cmd *cobra.Command, args []string) (err error) {
		switch {
		case format != "" && !slices.Contains(importFormats(), format):
			return exit(cmd, failf(exitUsage, "--format must be one of %s", strings.Join(importFormats(), ", ")))
		case bindTo != bindToSources && bindTo != bindToAgentKey:
			return exit(cmd, failf(exitUsage, `--bind-to must be %q or %q`, bindToSources, bindToAgentKey))
		}
		where.creates = !dry
		data, err = readImport(cmd.InOrStdin(), args[0])
		return exit(cmd, err)
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, _ []string) error {
		keys, err := g.parseImport(ctx, data, format, bindTo == bindToAgentKey, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		return g.importKeys(ctx, cmd, keys, dry, asJSON)
	})
	flags := cmd.Flags()
	flags.StringVar(&format, "format", "", "Format of the file: "+strings.Join(importFormats(), ", ")+" (default: detected from the file)")
	flags.StringVar(&bindTo, "bind-to", bindToSources, "What keys from a DocsGPT database are bound to: sources or agent-key")
	flags.BoolVar(&dry, "dry-run", false, "Check the keys without importing them")
	flags.BoolVar(&asJSON, "json", false, "Print each key, with its token if it is new, as one line of JSON")
	where.add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// readImport reads the file to import; path "-" is stdin.
func readImport(stdin io.Reader, path string) ([]byte, error) {
	in := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("reading the keys: %w", err)
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxImportBytes))
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	return data, nil
}

// importKeys imports keys in batches. All batches are checked before the first is imported, so that usually all keys are imported or
// none.
func (g *client) importKeys(ctx context.Context, cmd *cobra.Command, keys []importItem, dry, asJSON bool) error {
	notes := cmd.ErrOrStderr()
	if len(keys) == 0 {
		fmt.Fprintln(notes, "The file contains no keys.")
		return nil
	}
	batches, err := split(keys)
	if err != nil {
		return err
	}
	report := importReport{out: cmd.OutOrStdout(), json: asJSON}
	if dry || len(batches) > 1 {
		check := importReport{out: io.Discard}
		if dry {
			check = report
		}
		if err := g.importBatches(ctx, batches, true, &check); err != nil {
			return err
		}
		if dry {
			fmt.Fprintf(notes, "%s would be imported, %s already in the store. Nothing was changed.\n",
				plural(check.keys, "key", "keys"), isAre(check.existing))
			return nil
		}
	}
	err = g.importBatches(ctx, batches, false, &report)
	fmt.Fprintf(notes, "%s imported, %s already in the store.\n", plural(report.keys, "key", "keys"), isAre(report.existing))
	if report.tokens > 0 {
		fmt.Fprintf(notes, "%s new. The gate does not store tokens, so they cannot be shown again.\n",
			plural(report.tokens, "token is", "tokens are"))
	}
	if report.problem != "" {
		fmt.Fprintf(notes, "Some of these keys are not usable yet: %s\n", sanitize(report.problem))
	}
	if broken := (*uncertainError)(nil); errors.As(err, &broken) {
		return fmt.Errorf("%w\nMore keys may have been imported, with tokens that were not printed: see \"keys list\", and rotate "+
			"those", err)
	}
	return err
}

func isAre(n int) string {
	if n == 1 {
		return "1 is"
	}
	return strconv.Itoa(n) + " are"
}

// batch is the keys of one request; body[i] is the JSON of keys[i].
type batch struct {
	keys []importItem
	body []json.RawMessage
}

// split divides keys into batches within importBatch and importBatchBytes.
func split(keys []importItem) (batches []batch, err error) {
	size := 0
	for i := range keys {
		one, err := json.Marshal(&keys[i])
		if err != nil {
			return nil, err
		}
		last := len(batches) - 1
		if last < 0 || len(batches[last].body) >= importBatch || size+len(one) > importBatchBytes {
			batches, last, size = append(batches, batch{}), last+1, 0
		}
		b := &batches[last]
		b.keys, b.body, size = append(b.keys, keys[i]), append(b.body, one), size+len(one)+1
	}
	return batches, nil
}

func (g *client) importBatches(ctx context.Context, batches []batch, dry bool, report *importReport) error {
	for _, b := range batches {
		in := struct {
			Keys []json.RawMessage `json:"keys"`
			Dry  bool              `json:"dry_run"`
		}{b.body, dry}
		var response struct {
			Imported []json.RawMessage `json:"imported"`
			Problem  string            `json:"unusable_reason"`
		}
		if err := g.call(ctx, http.MethodPost, "/v1/import", in, "", &response); err != nil {
			return b.attributeErrors(err)
		}
		if response.Problem != "" {
			report.problem = response.Problem
		}
		for _, raw := range response.Imported {
			if err := report.add(raw); err != nil {
				return err
			}
		}
	}
	return nil
}

var ofKey = regexp.MustCompile(`^keys\[(\d+)\]`)

// attributeErrors replaces the indexes of keys in field errors with their positions in the file.
func (b *batch) attributeErrors(err error) error {
	p := (*problem)(nil)
	if !errors.As(err, &p) {
		return err
	}
	for i := range p.Errors {
		e := &p.Errors[i]
		at := ofKey.FindStringSubmatch(e.Field)
		if at == nil {
			continue
		}
		n, convErr := strconv.Atoi(at[1])
		if convErr != nil || n >= len(b.keys) {
			continue
		}
		e.Field = b.keys[n].place + strings.Replace(strings.TrimPrefix(e.Field, at[0]), ".", ", ", 1)
		e.Pointer = ""
	}
	return err
}

// importReport prints and counts the imported keys. Each key is printed immediately, so that no token is lost if a later batch
// fails.
type importReport struct {
	out                    io.Writer
	json                   bool
	keys, existing, tokens int
	problem                string // why some keys are not usable yet; empty: all are usable
}

func (r *importReport) add(raw json.RawMessage) error {
	var one imported
	if err := json.Unmarshal(raw, &one); err != nil {
		return failf(exitUnreachable, "cannot decode the response of the gate: %w", err)
	}
	if one.Existing != "" {
		r.existing++
	} else {
		r.keys++
	}
	var err error
	if one.Token != "" {
		if err = checkToken(one.Token, one.ID); err != nil {
			return err
		}
	}
	switch {
	case r.json:
		err = jsonLine(r.out, raw)
	case one.Token != "":
		// The name comes last, because its width varies.
		_, err = fmt.Fprintf(r.out, "%s  %s  %s\n", sanitize(one.ID), one.Token, sanitize(one.Name))
	}
	if one.Token != "" {
		r.tokens++
	}
	if err != nil {
		return fmt.Errorf("printing the imported keys: %w. Tokens that were not printed cannot be shown again: rotate those keys",
			err)
	}
	return nil
}
