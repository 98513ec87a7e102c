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
	// How many keys and bytes the gate takes at once.
	importBatch      = 1000
	importBatchBytes = 4 << 20

	// maxImportBytes is more than the importer takes.
	maxImportBytes = 65 << 20
)

// importItem is a key to be taken in, as the API takes it.
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

	place string // where it was read, and its name, for messages
}

// imported is what became of an arrival.
type imported struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Token    string `json:"token"`
	Existing string `json:"existing"`
}

func importCommand() *cobra.Command {
	var (
		where          connFlags
		format, agents string
		dry, asJSON    bool
	)
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Takes keys in from a key file, or from an older DocsGPT",
		Long: `
Takes keys in from a file, or from the standard input if the file is "-". The formats are:

` + importHelp() + `
Keys whose token or SHA-256 is in the file go on to work with that token. A key of which the file only shows the masked form
gets a new token; those are printed once on the standard output, one a line: ID, token, name. A key that is in the store
already, with the same token, is left as it is, so an import can be repeated.

Placeholders of tokens are read here, with the environment of this command; those of agents are the gate's.

--agents says what keys of DocsGPT's databases are bound to: "source", the default, to the sources that stand beside them;
"key" to the DocsGPT key itself, which the store keeps sealed, and which the DocsGPT behind the gate has to know.

All keys are checked before the first one is taken in; with --dry-run that is all.`,
		Example: `  $ docsgate keys import keys.yaml --dry-run
  $ docsgate keys import agents.json --agents key --json > tokens.jsonl
  $ curl -s localhost:7091/api/get_api_keys | docsgate keys import -`,
		Args: arguments(1, 1, `name one file, or "-" for the standard input`),
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
			return exit(cmd, failf(exitUsage, "--format is one of %s", strings.Join(importFormats(), ", ")))
		case agents != "" && agents != "source" && agents != "key":
			return exit(cmd, failf(exitUsage, `--agents is "source" or "key"`))
		}
		where.creates = !dry
		data, err = readImport(cmd.InOrStdin(), args[0])
		return exit(cmd, err)
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, _ []string) error {
		keys, err := g.parseImport(ctx, data, format, agents == "key", cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		return g.importKeys(ctx, cmd, keys, dry, asJSON)
	})
	flags := cmd.Flags()
	flags.StringVar(&format, "format", "", "Format of the file: "+strings.Join(importFormats(), ", ")+"; if it is not said, the file tells")
	flags.StringVar(&agents, "agents", "", "What keys of a database are bound to: source, the default, or key")
	flags.BoolVar(&dry, "dry-run", false, "Check the keys, and change nothing")
	flags.BoolVar(&asJSON, "json", false, "Print each key, with its token if it got one, as one line of JSON")
	where.add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// readImport reads the file to be imported.
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

// importKeys imports keys, batch by batch. All are checked before the first is written, so that mostly all or none get in.
func (g *client) importKeys(ctx context.Context, cmd *cobra.Command, keys []importItem, dry, asJSON bool) error {
	notes := cmd.ErrOrStderr()
	if len(keys) == 0 {
		fmt.Fprintln(notes, "There are no keys in the file.")
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
		if err := g.takeBatches(ctx, batches, true, &check); err != nil {
			return err
		}
		if dry {
			fmt.Fprintf(notes, "%s would be imported, %s in the store already. Nothing was changed.\n",
				plural(check.keys, "key", "keys"), isAre(check.existing))
			return nil
		}
	}
	err = g.takeBatches(ctx, batches, false, &report)
	fmt.Fprintf(notes, "%s imported, %s in the store already.\n", plural(report.keys, "key", "keys"), isAre(report.existing))
	if report.tokens > 0 {
		fmt.Fprintf(notes, "%s new; they are shown this once, the gate does not keep them.\n",
			plural(report.tokens, "token is", "tokens are"))
	}
	if report.problem != "" {
		fmt.Fprintf(notes, "Not all of these keys can be used yet: %s\n", sanitize(report.problem))
	}
	if broken := (*uncertainError)(nil); errors.As(err, &broken) {
		return fmt.Errorf("%w\nMore keys may have been imported, with tokens that nobody has seen: see \"keys list\", and rotate "+
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

// batch is the keys of one request, also as JSON.
type batch struct {
	keys []importItem
	body []json.RawMessage
}

// split cuts keys into batches that the gate takes at once.
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

func (g *client) takeBatches(ctx context.Context, batches []batch, dry bool, report *importReport) error {
	for _, b := range batches {
		in := struct {
			Keys []json.RawMessage `json:"keys"`
			Dry  bool              `json:"dry_run"`
		}{b.body, dry}
		var answer struct {
			Imported []json.RawMessage `json:"imported"`
			Problem  string            `json:"unusable_reason"`
		}
		if err := g.call(ctx, http.MethodPost, "/v1/import", in, "", &answer); err != nil {
			return b.attributeErrors(err)
		}
		if answer.Problem != "" {
			report.problem = answer.Problem
		}
		for _, raw := range answer.Imported {
			if err := report.add(raw); err != nil {
				return err
			}
		}
	}
	return nil
}

var ofKey = regexp.MustCompile(`^keys\[(\d+)\]`)

// attributeErrors makes the faults of a batch name keys by their place in the file.
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

// importReport prints what became of keys, and counts. Each is printed at once, so that no token is lost if a later one fails.
type importReport struct {
	out                    io.Writer
	json                   bool
	keys, existing, tokens int
	problem                string // why not all of them can be used yet
}

func (r *importReport) add(raw json.RawMessage) error {
	var one imported
	if err := json.Unmarshal(raw, &one); err != nil {
		return failf(exitUnreachable, "the gate gave an answer that is not understood: %w", err)
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
		// The name stands last: it is the only one whose width varies.
		_, err = fmt.Fprintf(r.out, "%s  %s  %s\n", sanitize(one.ID), one.Token, sanitize(one.Name))
	}
	if one.Token != "" {
		r.tokens++
	}
	if err != nil {
		return fmt.Errorf("printing what was imported: %w. Tokens that were not printed cannot be shown again: rotate those keys",
			err)
	}
	return nil
}
