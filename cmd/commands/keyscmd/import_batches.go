package keyscmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/gateclient"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/console/api"
)

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
		fmt.Fprintf(notes, "Some of these keys are not usable yet: %s\n", terminal.Sanitize(report.problem))
	}
	if broken := (*gateclient.UncertainError)(nil); errors.As(err, &broken) {
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
		if err := g.Call(ctx, http.MethodPost, "/v1/import", in, "", &response); err != nil {
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
	p := (*gateclient.Problem)(nil)
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
	var one api.ImportedKey
	if err := json.Unmarshal(raw, &one); err != nil {
		return cli.Errorf(cli.ExitUnreachable, "cannot decode the response of the gate: %w", err)
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
		err = terminal.PrintJSON(r.out, raw)
	case one.Token != "":
		// The name comes last, because its width varies.
		_, err = fmt.Fprintf(r.out, "%s  %s  %s\n", terminal.Sanitize(one.ID), one.Token, terminal.Sanitize(one.Name))
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
