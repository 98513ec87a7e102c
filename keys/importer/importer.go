// Package importer parses keys from other places: the key file of a file feed, exports of DocsGPT's databases, and responses of
// its /api/get_api_keys. It converts them to items that a registry can import. It needs no connection to anything.
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

// maxBytes is the maximum size of the input: 64 MiB, enough for about 300,000 keys.
const maxBytes = 64 << 20

const (
	// maxRows limits the memory for a file of many small objects.
	maxRows = 500_000
	tooMany = "there are more than 500,000 keys: split the file"

	maxFaults = 100 // reported; so many usually have the same cause
)

// Format is an input format. The values are stable.
type Format string

// The formats.
const (
	// KeyFile is the key file of a file feed, in YAML or JSON, and the format of exports.
	KeyFile Format = "key-file"

	// APIKeys is the response of DocsGPT's /api/get_api_keys (0.8 to 0.13). It contains only the beginnings and ends of keys.
	APIKeys Format = "api-keys"

	// MongoKeys is the collection api_keys of DocsGPT 0.8 to 0.13 in the format of mongoexport: a list, or one document per
	// line.
	MongoKeys Format = "mongo-api-keys"

	// MongoAgents is the collection agents of DocsGPT 0.14 to 0.16 in the format of mongoexport.
	MongoAgents Format = "mongo-agents"

	// PostgresAgents is the table agents of DocsGPT 0.17 and later: row_to_json of its rows as a list or one per line, or CSV
	// with a header.
	PostgresAgents Format = "postgres-agents"
)

// Formats returns all formats.
func Formats() []Format { return []Format{KeyFile, APIKeys, MongoKeys, MongoAgents, PostgresAgents} }

// Options configures the conversion. The zero Options is valid.
type Options struct {
	// Agents binds keys from databases to themselves: the gate continues to present them to DocsGPT. That works if the DocsGPT
	// behind the gate still knows them. Otherwise keys are bound to their sources.
	Agents bool

	// Sources are the sources of the DocsGPT behind the gate, by which the source names in APIKeys are converted to IDs. If it
	// is empty, names are used as IDs, which is right for DocsGPT 0.8 to 0.10.
	Sources []Source

	// Resolve returns the value of a placeholder for the token of a key in a KeyFile: "{env.X}" or "{file.X}". If it is nil,
	// placeholders are resolved from the environment and the files of the process.
	Resolve func(placeholder string) (string, error)
}

// Source is a source of DocsGPT.
type Source struct{ ID, Name string }

// Result is the result of parsing.
type Result struct {
	Format  Format
	Items   []Item
	Skipped []Skipped
	Notes   []string // notes for users that apply to all items
}

// Item is a key that can be imported.
type Item struct {
	Key      registry.Import
	Location string   // position in the input, such as "line 3" or "item 7"
	Notes    []string // notes for users about what is not imported
}

// Skipped is an entry of the input that cannot be imported as a key.
type Skipped struct {
	Place, Name string
	Reason      string // for users
}

// ParseError is a parse error. Its texts do not contain keys.
type ParseError struct{ Place, Message string }

// Error implements error.
func (f *ParseError) Error() string {
	if f.Place == "" {
		return f.Message
	}
	return f.Place + ": " + f.Message
}

// Parse parses keys. If format is empty, it is detected. With an error the result is nil. The error joins values of type
// *Fault; for a KeyFile it is of type filefeed.ErrorList.
func Parse(r io.Reader, format Format, o Options) (*Result, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the keys: %w", err)
	case len(data) > maxBytes:
		return nil, &ParseError{"", "the input is larger than 64 MiB: split it"}
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // byte order mark that some editors write
	switch {
	case !utf8.Valid(data):
		return nil, &ParseError{"", "the input is not UTF-8: save it with that encoding"}
	case len(bytes.TrimSpace(data)) == 0:
		return nil, &ParseError{"", "the input is empty"}
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
	read := map[Format]func(*converter, *row){
		APIKeys: (*converter).apiKey, MongoKeys: (*converter).mongo, MongoAgents: (*converter).mongo, PostgresAgents: (*converter).postgres,
	}[format]
	if read == nil {
		return nil, &ParseError{"", fmt.Sprintf("unknown format: the formats are %s", words(Formats()))}
	}
	conv := converter{options: o, result: Result{Format: format}}
	for i := range rows {
		if read(&conv, &rows[i]); len(conv.faults) >= maxFaults {
			conv.faults = append(conv.faults, &ParseError{"", "the rest was not checked: fix these faults first"})
			break
		}
	}
	if err := errors.Join(conv.faults...); err != nil {
		return nil, err
	}
	conv.notes()
	return &conv.result, nil
}

func words(all []Format) string {
	texts := make([]string, len(all))
	for i, f := range all {
		texts[i] = string(f)
	}
	return strings.Join(texts, ", ")
}
