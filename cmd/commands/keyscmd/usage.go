package keyscmd

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/internal/duration"
	"github.com/docsgate/docsgate/keys/usage/tokenprice"
)

func usageCommand() *cobra.Command {
	var (
		where         connFlags
		since, step   string
		asJSON, asCSV bool
	)
	cmd := &cobra.Command{
		Use:   "usage [KEY]",
		Short: "Show the usage of a key, or of all keys, over time",
		Long: `
Show requests by outcome, answers and their times, and tokens, per hour for up to a day, else per day. A request counts when it ends.
There are minutes for a day, hours for a month and days for a year; --step names another length, such as 5m. Times and days are in UTC.
Lines without requests are left out.

Rejected requests are those of known keys. ANSWERS are complete answers to questions, P50 and P95 the times in which half and 95 % of them
were complete. TOKENS are estimated, in part, if they have a ~: DocsGPT does not say for all answers what they have cost. With token_price in the
configuration there is a column COST, of all tokens.

With --json the result is one line of JSON, in the format of the API. --csv has all fields of the API.`,
		Example: `  $ docsgate keys usage
  $ docsgate keys usage "Docs site" --since 7d
  $ docsgate keys usage "Docs site" --since 30d --csv > usage.csv`,
		Args:              cli.Args(0, 1, "name one key by its ID or name, or none for all keys"),
		ValidArgsFunction: where.completeKeys(),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if asJSON && asCSV {
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--json and --csv exclude each other"))
		}
		return nil
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		query, err := usageQuery(since, step, time.Now())
		if err != nil {
			return err
		}
		path := "/v1/usage"
		if len(args) > 0 {
			k, err := g.find(ctx, args[0])
			if err != nil {
				return err
			}
			path = keyPath(k.ID) + "/usage"
		}
		var raw json.RawMessage
		if err := g.Call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, "", &raw); err != nil {
			return err
		}
		var usage api.Usage
		if err := json.Unmarshal(raw, &usage); err != nil {
			return err
		}
		switch {
		case asJSON:
			return terminal.PrintJSON(cmd.OutOrStdout(), raw)
		case asCSV:
			return writeUsageCSV(cmd.OutOrStdout(), &usage)
		}
		return printUsage(cmd, &usage)
	})
	cmd.Flags().StringVar(&since, "since", "24h", "Start: a duration before now such as 7d, a date or a time, within the last 366 days")
	cmd.Flags().StringVar(&step, "step", "", "Length of a line, such as 5m, 1h or 1d (default 1h for up to a day, else 1d)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "Print the result as one line of JSON")
	cmd.Flags().BoolVar(&asCSV, "csv", false, "Print all fields as CSV")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// usageQuery returns the parameters of a request for usage.
func usageQuery(since, step string, now time.Time) (url.Values, error) {
	from, err := duration.ParsePast(since, now)
	if err != nil {
		return nil, cli.Errorf(cli.ExitUsage, "--since: write a duration such as 7d, a date such as 2027-01-01, or a time such as 2027-01-01T12:00:00Z")
	}
	if step == "" {
		step = "1d"
		if now.Sub(from) <= api.DefaultUsageRange {
			step = "1h"
		}
	} else if _, err := duration.Parse(step); err != nil {
		return nil, cli.Errorf(cli.ExitUsage, "--step: %w", err)
	}
	if _, err := duration.Parse(since); err != nil {
		since = from.Format(time.RFC3339)
	}
	return url.Values{"since": {since}, "step": {step}}, nil
}

func printUsage(cmd *cobra.Command, u *api.Usage) error {
	layout := "2006-01-02 15:04"
	if u.Step%(24*60*60) == 0 {
		layout = time.DateOnly
	}
	rows := terminal.Table{Heading: []string{
		"START", "REQUESTS", "SUCCEEDED", "FAILED", "ABORTED", "REJECTED", "STREAMS", "ANSWERS", "NO SOURCES", "DISLIKES", "P50", "P95", "TOKENS",
	}}
	if u.Total.Cost != nil {
		rows.Heading = append(rows.Heading, "COST")
	}
	add := func(start string, c *api.UsageCounts) {
		p50, p95 := formatQuantiles(c.AnswerTime)
		rejected := c.Rejected.Key + c.Rejected.Policy + c.Rejected.Limit + c.Rejected.Busy + c.Rejected.Request
		row := []string{
			start, number(c.Requests), number(c.Succeeded), number(c.Failed), number(c.Aborted), number(rejected), number(c.Streams),
			number(c.Answers), number(c.AnswersWithoutSources), number(c.Dislikes), p50, p95, formatTokens(c),
		}
		if c.Cost != nil {
			row = append(row, formatCost(c.Cost))
		}
		rows.Add(row...)
	}
	for i := range u.Points {
		add(u.Points[i].Start.UTC().Format(layout), &u.Points[i].UsageCounts)
	}
	add("total", &u.Total)
	if err := rows.Write(cmd.OutOrStdout()); err != nil || len(u.Keys) == 0 {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout())
	top := terminal.Table{Heading: []string{"KEY", "REQUESTS", "NAME"}}
	for _, k := range u.Keys {
		top.Add(k.Key, number(k.Requests), k.Name)
	}
	return top.Write(cmd.OutOrStdout())
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// formatQuantiles returns the quantiles of times, such as "1.2s", or "-" without times.
func formatQuantiles(t *api.UsageTimes) (p50, p95 string) {
	if t == nil {
		return "-", "-"
	}
	seconds := func(s float64) string { return strconv.FormatFloat(s, 'f', 1, 64) + "s" }
	return seconds(t.P50), seconds(t.P95)
}

// formatTokens returns the number of tokens, with a "~" if a part is estimated.
func formatTokens(c *api.UsageCounts) string {
	if c.EstimatedTokens > 0 {
		return "~" + number(c.Tokens+c.EstimatedTokens)
	}
	return number(c.Tokens)
}

// formatCost returns the cost of all tokens, with a "~" if a part is estimated.
func formatCost(c *api.UsageCost) string {
	text := tokenprice.Format(c.Amount+c.EstimatedAmount, c.Currency)
	if c.EstimatedAmount > 0 {
		return "~" + text
	}
	return text
}
