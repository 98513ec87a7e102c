package commands

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
)

func exportCommand() *cobra.Command {
	var (
		where connFlags
		force bool
	)
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Writes the keys of the store as a key file",
		Long: `
Writes the keys that the gate has issued as a key file in JSON, which "feed file" and "docsgate keys import" read: to the
file, or to the standard output if none is named. There is no token in it, only SHA-256 digests of tokens.

Keys that are bound to a sealed DocsGPT key cannot be exported. They are left out, and named on the standard error.`,
		Example: `  $ docsgate keys export keys.json
  $ docsgate keys export | jq '.keys | length'`,
		Args: arguments(0, 1, "name one file, or none for the standard output"),
	}
	cmd.RunE = where.run(func(ctx context.Context, g *client, cmd *cobra.Command, args []string) error {
		var left exported
		fetch := func(w io.Writer) (err error) {
			left, err = g.export(ctx, w)
			return err
		}
		var err error
		if len(args) == 0 || args[0] == "-" {
			err = fetch(cmd.OutOrStdout())
		} else {
			err = writeWhole(args[0], force, fetch)
		}
		if err != nil {
			return err
		}
		notes := cmd.ErrOrStderr()
		fmt.Fprintf(notes, "%s exported.\n", plural(left.keys, "key", "keys"))
		if len(left.out) > 0 {
			fmt.Fprintf(notes, "Left out, since their DocsGPT key is sealed in the store: %s\n", sanitize(strings.Join(left.out, ", ")))
		}
		return nil
	})
	cmd.Flags().BoolVar(&force, "force", false, "Replace the file if it exists")
	where.add(cmd)
	completeFlags(cmd, &where)
	return cmd
}

// exported counts the keys of an export, and names those that are not in it.
type exported struct {
	keys int
	out  []string
}

// export writes the keys as a key file, one a line. It takes out what no key file has, and notices an answer that breaks off.
func (g *client) export(ctx context.Context, w io.Writer) (done exported, err error) {
	resp, err := g.send(ctx, http.MethodGet, "/v1/export", nil, "")
	if err != nil {
		return done, err
	}
	defer resp.Body.Close()
	out := bufio.NewWriter(w)
	err = done.copy(jsontext.NewDecoder(resp.Body), out)
	syntax := (*jsontext.SyntacticError)(nil)
	if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, errNoKeyFile) {
		return done, failf(exitUnreachable, "the answer of %s broke off, or is of another version: %w", g.name, err)
	}
	if err != nil {
		return done, err
	}
	return done, out.Flush()
}

var errNoKeyFile = errors.New("the answer is no list of keys")

func (e *exported) copy(in *jsontext.Decoder, out *bufio.Writer) error {
	if t, err := in.ReadToken(); err != nil || t.Kind() != '{' {
		return errors.Join(err, errNoKeyFile)
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
			if err := json.UnmarshalDecode(in, &e.out); err != nil {
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
		return errNoKeyFile
	}
	_, err := out.WriteString("\n]}\n")
	return err
}

func (e *exported) copyKeys(in *jsontext.Decoder, out *bufio.Writer) error {
	if t, err := in.ReadToken(); err != nil || t.Kind() != '[' {
		return errors.Join(err, errNoKeyFile)
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
		_, _ = out.WriteString(before) // its errors stay until Flush
		if _, err := out.WriteString(escaped(value)); err != nil {
			return err
		}
	}
}
