package keyscmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
)

// recordList is a command that lists the records at a path of the API: as a table, or each as one line of JSON. T is the type of a
// record.
type recordList[T any] struct {
	path      string // such as "/v1/audit"
	field     string // of the response, with the records
	heading   []string
	row       func(*T) []string
	one, more string // the noun for the records, such as "change" and "changes"
	order     string // which records are the first, such as "newest"
}

// listFlags are the flags of a command that lists records.
type listFlags struct {
	limit       int
	all, asJSON bool
}

// add adds the flags to a command, with the noun for the records.
func (f *listFlags) add(cmd *cobra.Command, one, more string) {
	cmd.Flags().IntVarP(&f.limit, "limit", "n", 50, "Maximum number of "+more+" to list")
	cmd.Flags().BoolVar(&f.all, "all", false, "List all "+more)
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "Print each "+one+" as one line of JSON")
}

// check returns an error for flags that contradict each other. more is the noun for the records.
func (f *listFlags) check(cmd *cobra.Command, more string) error {
	switch {
	case f.limit < 1:
		return cli.Errorf(cli.ExitUsage, "--limit must be at least 1; use --all to list all %s", more)
	case f.all && cmd.Flags().Changed("limit"):
		return cli.Errorf(cli.ExitUsage, "--limit and --all are mutually exclusive")
	}
	return nil
}

// most returns the maximum number of records, 0 for all.
func (f *listFlags) most() int {
	if f.all {
		return 0
	}
	return f.limit
}

// print reads the records that a query selects, page by page, and prints them. query is modified.
func (l *recordList[T]) print(ctx context.Context, g *client, cmd *cobra.Command, query url.Values, flags *listFlags) error {
	rows := terminal.Table{Heading: l.heading}
	out, given := cmd.OutOrStdout(), 0
	for {
		size := pageLimit
		if most := flags.most(); most > 0 {
			size = min(size, most-given)
		}
		query.Set("limit", strconv.Itoa(size))
		var page map[string]json.RawMessage
		if err := g.Call(ctx, http.MethodGet, l.path+"?"+query.Encode(), nil, "", &page); err != nil {
			return err
		}
		var records []json.RawMessage
		if raw := page[l.field]; raw != nil {
			if err := json.Unmarshal(raw, &records); err != nil {
				return err
			}
		}
		for _, raw := range records {
			record := new(T)
			if err := json.Unmarshal(raw, record); err != nil {
				return err
			}
			if flags.asJSON {
				if err := terminal.PrintJSON(out, raw); err != nil {
					return err
				}
				continue
			}
			rows.Add(l.row(record)...)
		}
		given += len(records)
		next := cursorOf(page["next_cursor"])
		full := flags.most() > 0 && given >= flags.most()
		if next == "" || full || next == query.Get("cursor") {
			if next != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "Showing the %s %s; use --all to list all.\n", l.order, plural(given, l.one, l.more))
			}
			break
		}
		query.Set("cursor", next) // also of an empty page: a filter may match nothing in it
	}
	switch {
	case flags.asJSON:
		return nil
	case given == 0:
		fmt.Fprintf(cmd.ErrOrStderr(), "There are no %s.\n", l.more)
		return nil
	}
	return rows.Write(out)
}

// cursorOf returns the cursor of the next page, a number or a text, or "".
func cursorOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(bytes.TrimSpace(raw))
}
