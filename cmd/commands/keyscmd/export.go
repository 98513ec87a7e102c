package keyscmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
)

func exportCommand() *cobra.Command {
	var (
		where connFlags
		force bool
	)
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Export the keys of the store as a key file",
		Long: `
Export the keys that the gate has issued as a key file in JSON, which "feed file" and "docsgate keys import" read. The key file
is written to FILE, or to standard output without FILE. It contains no tokens, only their SHA-256 digests. Revoked keys and
previous tokens are not exported.

Keys that are bound to a DocsGPT key that the store keeps encrypted cannot be exported. They are skipped, and their IDs are
printed on standard error.`,
		Example: `  $ docsgate keys export keys.json
  $ docsgate keys export | jq '.keys | length'`,
		Args: cli.Args(0, 1, "name one file, or none for standard output"),
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		var result exported
		fetch := func(w io.Writer) (err error) {
			result, err = g.export(ctx, w)
			return err
		}
		var err error
		if len(args) == 0 || args[0] == "-" {
			err = fetch(cmd.OutOrStdout())
		} else {
			err = writeFile(args[0], force, fetch)
		}
		if err != nil {
			return err
		}
		notes := cmd.ErrOrStderr()
		fmt.Fprintf(notes, "%s exported.\n", plural(result.keys, "key", "keys"))
		if len(result.skipped) > 0 {
			fmt.Fprintf(notes, "Skipped, because their DocsGPT key is encrypted in the store: %s\n", terminal.Sanitize(strings.Join(result.skipped, ", ")))
		}
		return nil
	})
	cmd.Flags().BoolVar(&force, "force", false, "Replace FILE if it exists")
	where.Add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// exported is the result of an export: the number of exported keys, and the IDs of the skipped ones.
type exported struct {
	keys    int
	skipped []string
}

// export writes the keys as a key file, one per line. It drops fields that a key file does not have, and returns an error if the
// response is truncated.
func (g *client) export(ctx context.Context, w io.Writer) (done exported, err error) {
	resp, err := g.Send(ctx, http.MethodGet, "/v1/export", nil, "")
	if err != nil {
		return done, err
	}
	defer resp.Body.Close()
	out := bufio.NewWriter(w)
	err = done.copy(jsontext.NewDecoder(resp.Body), out)
	syntax := (*jsontext.SyntacticError)(nil)
	if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, errNotKeyList) {
		return done, cli.Errorf(cli.ExitUnreachable, "the response of %s was truncated, or is of another version: %w", g.Name, err)
	}
	if err != nil {
		return done, err
	}
	return done, out.Flush()
}

var errNotKeyList = errors.New("the response is not a list of keys")

func (e *exported) copy(in *jsontext.Decoder, out *bufio.Writer) error {
	if t, err := in.ReadToken(); err != nil || t.Kind() != '{' {
		return errors.Join(err, errNotKeyList)
	}
	seen := false
	for in.PeekKind() == '"' {
		name, err := in.ReadToken()
		if err != nil {
			return err
		}
		switch name.String() {
		case "keys":
			seen = true
			if err := e.copyKeys(in, out); err != nil {
				return err
			}
		case "skipped":
			if err := json.UnmarshalDecode(in, &e.skipped); err != nil {
				return err
			}
		default:
			if err := in.SkipValue(); err != nil {
				return err
			}
		}
	}
	if _, err := in.ReadToken(); err != nil {
		return err
	}
	if !seen {
		return errNotKeyList
	}
	_, err := out.WriteString("\n]}\n")
	return err
}

func (e *exported) copyKeys(in *jsontext.Decoder, out *bufio.Writer) error {
	if t, err := in.ReadToken(); err != nil || t.Kind() != '[' {
		return errors.Join(err, errNotKeyList)
	}
	for before := "{\"keys\": [\n"; ; before = ",\n" {
		if in.PeekKind() == ']' {
			if e.keys == 0 {
				_, _ = out.WriteString(before)
			}
			_, err := in.ReadToken()
			return err
		}
		value, err := in.ReadValue()
		if err != nil {
			return err
		}
		if err := value.Compact(); err != nil {
			return err
		}
		e.keys++
		_, _ = out.WriteString(before) // the bufio.Writer keeps its error
		if _, err := out.WriteString(terminal.EscapeJSON(value)); err != nil {
			return err
		}
	}
}
