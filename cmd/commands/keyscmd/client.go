package keyscmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/gateclient"
	"github.com/docsgate/docsgate/console/api"
)

// connFlags are the flags that select the running gate or the store file, with completions.
type connFlags struct{ gateclient.Flags }

// client calls the API for keys.
type client struct{ *gateclient.Client }

// key is a key of the API, and the JSON that it was decoded from.
type key struct {
	api.Key
	raw json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (k *key) UnmarshalJSON(data []byte) error {
	k.raw = bytes.Clone(data)
	return json.Unmarshal(data, &k.Key)
}

// run returns cobra's RunE for a command that needs a gate or a store. The error of body sets the exit status. SIGINT and SIGTERM
// cancel its ctx.
func (f *connFlags) run(body func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error) func(
	*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		gate, err := f.Open(ctx, cmd.ErrOrStderr())
		if err != nil {
			return cli.Exit(cmd, err)
		}
		err = body(ctx, &client{gate}, cmd, args)
		if closeErr := gate.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("closing the store: %w", closeErr)
		}
		return cli.Exit(cmd, err)
	}
}
