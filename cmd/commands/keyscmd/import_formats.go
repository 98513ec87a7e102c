package keyscmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/keys/filefeed"
	"github.com/docsgate/docsgate/keys/importer"
	"github.com/docsgate/docsgate/visitortoken"
)

// importFormats are the values of --format.
func importFormats() (words []string) {
	for _, f := range importer.Formats() {
		words = append(words, string(f))
	}
	return words
}

// importHelp returns the lines of the help that describe the formats.
func importHelp() string {
	var b strings.Builder
	for _, f := range importer.Formats() {
		about := map[importer.Format]string{
			importer.KeyFile:        `key file as read by "feed file" and written by "keys export", YAML or JSON`,
			importer.APIKeys:        "response of /api/get_api_keys of DocsGPT 0.8 to 0.13",
			importer.MongoKeys:      "collection api_keys of DocsGPT 0.8 to 0.13, from mongoexport",
			importer.MongoAgents:    "collection agents of DocsGPT 0.14 to 0.16, from mongoexport",
			importer.PostgresAgents: "table agents of DocsGPT 0.17 and later: rows as JSON, or CSV with a header",
		}[f]
		fmt.Fprintf(&b, "  %-16s %s\n", f, about)
	}
	return b.String()
}

// parseImport parses keys, and prints on notes what is skipped. With agentKeys, keys of databases are bound to their DocsGPT key.
func (g *client) parseImport(ctx context.Context, data []byte, format string, agentKeys bool, notes io.Writer) ([]importItem, error) {
	options := importer.Options{Agents: agentKeys}
	var known struct {
		Sources []source `json:"sources"`
	}
	// Not every gate can list the sources. Without the list, names of sources are taken for IDs.
	if err := g.Call(ctx, http.MethodGet, "/v1/sources", nil, "", &known); err == nil {
		for _, s := range known.Sources {
			options.Sources = append(options.Sources, importer.Source(s))
		}
	}
	result, err := importer.Parse(bytes.NewReader(data), importer.Format(format), options)
	if err != nil {
		lines := strings.Split(err.Error(), "\n")
		if faults := filefeed.ErrorList(nil); errors.As(err, &faults) {
			lines = nil
			for _, f := range faults {
				where := ""
				if f.Line > 0 {
					where = fmt.Sprintf("line %d: ", f.Line)
				}
				lines = append(lines, where+f.Message)
			}
		}
		for i := range lines {
			lines[i] = terminal.Sanitize(lines[i])
		}
		return nil, cli.Errorf(cli.ExitRejected, "reading the keys: %s", strings.Join(lines, "\n  "))
	}
	for _, n := range result.Notes {
		fmt.Fprintln(notes, "Note:", terminal.Sanitize(n))
	}
	for _, s := range result.Skipped {
		fmt.Fprintf(notes, "Skipped: %s: %s\n", terminal.Sanitize(describe(s.Place, s.Name)), terminal.Sanitize(s.Reason))
	}
	all := make([]importItem, 0, len(result.Items))
	for i := range result.Items {
		item := &result.Items[i]
		for _, n := range item.Notes {
			fmt.Fprintf(notes, "Note: %s: %s\n", terminal.Sanitize(describe(item.Location, item.Key.Name)), terminal.Sanitize(n))
		}
		all = append(all, toImportItem(item))
	}
	return all, nil
}

// describe returns the position of a key in the file, with its name if it has one.
func describe(place, name string) string {
	if name == "" {
		return place
	}
	return place + " (" + name + ")"
}

func toImportItem(item *importer.Item) importItem {
	k := &item.Key
	known := func(at time.Time) *time.Time {
		if at.IsZero() {
			return nil
		}
		return &at
	}
	a := importItem{KeyRequest: api.KeyRequest{
		ID: k.ID, Name: k.Name, Sources: k.Sources, Agent: k.Agent, AgentKey: k.AgentKey, State: k.State.String(),
		NotBefore: known(k.NotBefore), Expires: known(k.Expires), Created: known(k.Created),
		Prompt: k.Prompt, Chunks: k.Chunks, Retriever: k.Retriever, PolicyRequest: api.PolicyRequestOf(k.Policy),
	}, place: describe(item.Location, k.Name)}
	if keys := k.Signing.PublicKeys; keys != nil {
		for _, key := range *keys {
			a.SignPublicKeys = append(a.SignPublicKeys, visitortoken.FormatPublicKey(key))
		}
	}
	if k.Signing.Generation != nil {
		a.Generation = *k.Signing.Generation
	}
	if !k.Digest.IsZero() {
		a.SHA256 = k.Digest.Hex()
	}
	return a
}
