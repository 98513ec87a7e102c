// Package healthcmd contains the subcommand "health", which asks a running gate whether it is ready. Containers and other
// supervisors use it as their probe, since an image of docsgate has no other program.
package healthcmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/gateclient"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
)

// Command returns the subcommand "health".
func Command() caddycmd.Command {
	return caddycmd.Command{
		Name:  "health",
		Short: "Report whether the running gate is ready",
		Long: `
Ask the running gate over its admin endpoint whether it can decide on all tokens: a configuration is active, and each feed has
loaded its keys. An unavailable database makes the gate not ready only after max_stale. If DocsGPT does not respond or the queue is
full, the gate is degraded, which is ready, too, unless the option ready_requires names that check.

For the health check of a container, a systemd unit or a load balancer's script.

Exit status: 0 ready or degraded; 1 not ready; 2 usage error; 5 the gate cannot be reached.`,
		CobraFunc: setUp,
	}
}

func setUp(cmd *cobra.Command) {
	cmd.Use = "health [flags]"
	cmd.Example = `  $ docsgate health
  $ docsgate health --address unix//run/docsgate/admin.sock --timeout 2s`
	var gate gateclient.Flags
	flags := cmd.Flags()
	flags.StringVar(&gate.Address, "address", "", "Address of the running gate's admin endpoint (default: the one in the configuration, or localhost:2019)")
	flags.StringVarP(&gate.Config, "config", "c", "", "Configuration file that names the admin endpoint (default: the Caddyfile in the current directory)")
	flags.StringVarP(&gate.Adapter, "adapter", "a", "", "Name of the config adapter to apply to the configuration file")
	flags.StringVar(&gate.Backend, "backend", "", "Name of a DocsGPT, to ask for its keys only (default: all)")
	timeout := flags.Duration("timeout", 5*time.Second, "Time to wait for the response")
	asJSON := flags.Bool("json", false, "Print the response as JSON")
	cmd.SetFlagErrorFunc(cli.FlagError)
	cmd.Args = cli.Args(0, 0, "this command takes no arguments, only flags; see --help")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *timeout <= 0 {
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--timeout must be positive"))
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), *timeout)
		defer cancel()
		status, body, err := ask(ctx, &gate)
		if err != nil {
			return cli.Exit(cmd, err)
		}
		return cli.Exit(cmd, report(cmd.OutOrStdout(), status, body, *asJSON))
	}
}

// ask returns status and body of the gate's probe.
func ask(ctx context.Context, gate *gateclient.Flags) (status int, body []byte, err error) {
	client, err := gate.Dial(ctx)
	if err != nil {
		if !cli.HasStatus(err) {
			err = cli.WithStatus(cli.ExitUnreachable, err)
		}
		return 0, nil, err
	}
	defer func() { _ = client.Close() }()
	status, body, err = client.Ready(ctx)
	if err != nil {
		return 0, nil, cli.Errorf(cli.ExitUnreachable, "asking %s: %w", client.Name, err)
	}
	if status == http.StatusNotFound && gate.Backend != "" {
		return 0, nil, cli.Errorf(cli.ExitUsage, "%s does not exist", client.Name)
	}
	if status != http.StatusOK && status != http.StatusServiceUnavailable {
		return 0, nil, cli.Errorf(cli.ExitUnreachable, "%s is not a gate of this version: it responded with status %d", client.Name, status)
	}
	return status, body, nil
}

// report prints a response, and returns an error if the gate is not ready.
func report(out io.Writer, status int, body []byte, asJSON bool) error {
	var health struct {
		Status, Version, Reason string
		Checks                  []struct{ Check, Backend, Upstream, State, Reason string }
		Feeds                   []struct {
			Feed, Backend, Error string
			Ready                bool
			Keys                 int
		}
	}
	if err := json.Unmarshal(body, &health); err != nil {
		return cli.Errorf(cli.ExitUnreachable, "the gate's response is not valid JSON: %w", err)
	}
	if asJSON {
		if err := terminal.PrintJSON(out, body); err != nil {
			return err
		}
	} else {
		for _, f := range health.Feeds {
			if f.Backend != "" {
				f.Feed = f.Backend + ": " + f.Feed
			}
			line := fmt.Sprintf("%s: %d keys", f.Feed, f.Keys)
			if !f.Ready {
				line = f.Feed + ": not loaded"
			}
			if f.Error != "" {
				line += "; " + strings.TrimSpace(f.Error)
			}
			fmt.Fprintln(out, terminal.Sanitize(line))
		}
		for _, c := range health.Checks {
			if c.State != "ok" {
				at := strings.Join(slices.DeleteFunc([]string{c.Backend, c.Check, c.Upstream}, func(s string) bool { return s == "" }), " ")
				fmt.Fprintln(out, terminal.Sanitize(fmt.Sprintf("%s: %s; %s", at, c.State, strings.TrimSpace(c.Reason))))
			}
		}
	}
	if status != http.StatusOK {
		return cli.Errorf(cli.ExitFailed, "not ready: %s", health.Reason)
	}
	if !asJSON {
		fmt.Fprintln(out, terminal.Sanitize(health.Status+", docsgate "+health.Version))
	}
	return nil
}
