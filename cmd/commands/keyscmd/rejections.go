package keyscmd

import (
	"context"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/console/api"
)

var rejectedRequests = recordList[api.Rejection]{
	path: "/v1/rejections", field: "rejections", one: "rejected request", more: "rejected requests", order: "newest",
	heading: []string{"WHEN", "REQUEST", "KEY", "ENDPOINT", "REASON"},
	row: func(x *api.Rejection) []string {
		return []string{formatTime(&x.At), x.RequestID, x.Key, x.Endpoint, x.Reason}
	},
}

func rejectionsCommand() *cobra.Command {
	var (
		where     connFlags
		list      listFlags
		requestID string
	)
	cmd := &cobra.Command{
		Use:   "rejections [KEY]",
		Short: "List the requests that the gate has rejected, newest first",
		Long: `
List the recent requests that the running gate has rejected, of all clients or of one key: when, at which endpoint, and why. With
--request-id, find the request that a user reports: error responses contain the ID. The gate remembers the last 1000 requests with
a known key and the last 1000 without, until it is restarted.

With --json each request is one line of JSON, in the format of the API.`,
		Example: `  $ docsgate keys rejections "Docs site"
  $ docsgate keys rejections --request-id 5f0c3a9e1b7d2468`,
		Args:              cli.Args(0, 1, "name one key by its ID or name, or none for all requests"),
		ValidArgsFunction: where.completeKeys(),
	}
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if list.limit < 1 || list.limit > pageLimit {
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--limit must be from 1 to %d", pageLimit))
		}
		return nil
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		query := url.Values{}
		if len(args) > 0 {
			k, err := g.find(ctx, args[0])
			if err != nil {
				return err
			}
			query.Set("key", k.ID)
		}
		if requestID != "" {
			query.Set("request_id", requestID)
		}
		return rejectedRequests.print(ctx, g, cmd, query, &list)
	})
	cmd.Flags().IntVarP(&list.limit, "limit", "n", 50, "Maximum number of requests to list")
	cmd.Flags().StringVar(&requestID, "request-id", "", "ID of a request, as in its error response")
	cmd.Flags().BoolVar(&list.asJSON, "json", false, "Print each request as one line of JSON")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// describeRejections returns the rejections of a key, such as "12 rate_limited, 3 origin_not_allowed".
func describeRejections(counts []api.RejectionCount) string {
	text := ""
	for i, c := range counts {
		if i > 0 {
			text += ", "
		}
		text += strconv.FormatUint(c.Requests, 10) + " " + c.Reason
	}
	return text
}

// describeLeak returns since when a key has leaked, or "".
func describeLeak(l *api.Leak) string {
	switch {
	case l == nil:
		return ""
	case l.Origin == "":
		return "since " + formatTime(&l.Since) + ": a browser has presented the key; rotate it"
	}
	return "since " + formatTime(&l.Since) + ": a page of " + l.Origin + " has presented the key; rotate it"
}
