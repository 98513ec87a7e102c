package keyscmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/console/api"
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

// importItem is a key to import.
type importItem struct {
	api.KeyRequest
	place string // its position in the file, and its name, for messages
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
		Args: cli.Args(1, 1, `name one file, or "-" for standard input`),
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
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, "--format must be one of %s", strings.Join(importFormats(), ", ")))
		case bindTo != bindToSources && bindTo != bindToAgentKey:
			return cli.Exit(cmd, cli.Errorf(cli.ExitUsage, `--bind-to must be %q or %q`, bindToSources, bindToAgentKey))
		}
		where.Creates = !dry
		data, err = readImport(cmd.InOrStdin(), args[0])
		return cli.Exit(cmd, err)
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
	where.Add(cmd)
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
