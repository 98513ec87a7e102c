// Package importer reads keys from where they were before: the key file of a file feed, and what DocsGPT's databases and
// its call /api/get_api_keys yield. It makes items of them that a registry takes in. It needs no connection to anything.
package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/docsgate/docsgate/keys/registry"
)

// maxBytes is the most that is read: 64 MiB, room for some 300,000 keys.
const maxBytes = 64 << 20

const (
	// maxRows bounds the memory that a file of many small objects takes.
	maxRows = 500_000
	tooMany = "there are more than 500,000 keys: split the file"

	maxFaults = 100 // that are told; whoever has so many has one reason for all
)

// Format is a form that keys are read in. The words are stable.
type Format string

// The formats.
const (
	// KeyFile is the key file of a file feed, in YAML or JSON, and what an export yields.
	KeyFile Format = "key-file"

	// APIKeys is the answer of DocsGPT's /api/get_api_keys (0.8 to 0.13). It shows only the ends of keys.
	APIKeys Format = "api-keys"

	// MongoKeys is the collection api_keys of DocsGPT 0.8 to 0.13, as mongoexport writes it: a list, or one document a line.
	MongoKeys Format = "mongo-api-keys"

	// MongoAgents is the collection agents of DocsGPT 0.14 to 0.16, as mongoexport writes it.
	MongoAgents Format = "mongo-agents"

	// PostgresAgents is the table agents of DocsGPT 0.17 and later: row_to_json of its rows as a list or one a line, or CSV
	// with a header.
	PostgresAgents Format = "postgres-agents"
)

// Formats returns all formats.
func Formats() []Format { return []Format{KeyFile, APIKeys, MongoKeys, MongoAgents, PostgresAgents} }

// Options say what to make of what is read. The zero Options are good.
type Options struct {
	// Agents binds keys from databases to themselves: the gate goes on to present them to DocsGPT. That is right where the
	// DocsGPT behind the gate knows them yet. Otherwise keys are bound to their sources.
	Agents bool

	// Sources are those of the DocsGPT behind the gate, by which the names in APIKeys become ids. Without any the names are
	// taken as ids, which they are in DocsGPT 0.8 to 0.10.
	Sources []Source

	// Resolve gives the value of a placeholder for the token of a key in a KeyFile: "{env.X}" or "{file.X}". nil takes
	// the process's environment and files.
	Resolve func(placeholder string) (string, error)
}

// Source is a source of DocsGPT.
type Source struct{ ID, Name string }

// Result is what was read.
type Result struct {
	Format  Format
	Items   []Item
	Skipped []Skip
	Notes   []string // what holds for all items, for people
}

// Item is a key to be taken in.
type Item struct {
	Key   registry.Import
	Place string   // where it stood, such as "line 3" or "item 7"
	Notes []string // what does not come along, for people
}

// Imports returns the items as a registry takes them.
func (r *Result) Imports() []registry.Import {
	all := make([]registry.Import, len(r.Items))
	for i := range r.Items {
		all[i] = r.Items[i].Key
	}
	return all
}

// Skip is something that was read and is no key to be taken in.
type Skip struct {
	Place, Name string
	Reason      string // for people
}

// Fault is something that cannot be read. Its texts repeat no key.
type Fault struct{ Place, Message string }

// Error implements error.
func (f *Fault) Error() string {
	if f.Place == "" {
		return f.Message
	}
	return f.Place + ": " + f.Message
}

// Parse reads keys. An empty format is found out. An error joins *Faults, those of a KeyFile are filefeed.Faults; then there
// is no result.
func Parse(r io.Reader, format Format, o Options) (*Result, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the keys: %w", err)
	case len(data) > maxBytes:
		return nil, &Fault{"", "this is larger than 64 MiB: split it"}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // the byte order mark that some editors write
	switch {
	case !utf8.Valid(data):
		return nil, &Fault{"", "this is not UTF-8 text: save it in that encoding"}
	case len(bytes.TrimSpace(data)) == 0:
		return nil, &Fault{"", "there is nothing to read"}
	}
	if format == KeyFile || format == "" && looksLikeKeyFile(data) {
		return readKeyFile(data, o)
	}
	rows, err := readRows(data)
	if err != nil {
		return nil, err
	}
	if format == "" {
		if format, err = detect(rows); err != nil {
			return nil, err
		}
	}
	read := map[Format]func(*reader, *row){
		APIKeys: (*reader).apiKey, MongoKeys: (*reader).mongo, MongoAgents: (*reader).mongo, PostgresAgents: (*reader).postgres,
	}[format]
	if read == nil {
		return nil, &Fault{"", fmt.Sprintf("the formats are %s", words(Formats()))}
	}
	reading := reader{options: o, result: Result{Format: format}}
	for i := range rows {
		if read(&reading, &rows[i]); len(reading.faults) >= maxFaults {
			reading.faults = append(reading.faults, &Fault{"", "what follows was not looked at: mend these first"})
			break
		}
	}
	if err := errors.Join(reading.faults...); err != nil {
		return nil, err
	}
	reading.notes()
	return &reading.result, nil
}

func words(all []Format) string {
	texts := make([]string, len(all))
	for i, f := range all {
		texts[i] = string(f)
	}
	return strings.Join(texts, ", ")
}
