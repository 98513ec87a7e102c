package importer

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// row is one document or row of a database, or one object of a list.
type row struct {
	place  string
	values map[string]any // decoded by encoding/json with json.Number; in CSV only strings
}

// looksLikeKeyFile reports whether data is a key file rather than one of the other formats: YAML, or a JSON object whose field
// keys is a list.
func looksLikeKeyFile(data []byte) bool {
	data = bytes.TrimSpace(data)
	switch data[0] {
	case '[':
		// Lists are written by programs; hand-written key files start with "keys:".
		return false
	case '{':
		var file struct {
			Keys json.RawMessage `json:"keys"`
		}
		// Only the first object: there may be one object per line.
		if json.NewDecoder(bytes.NewReader(data)).Decode(&file) != nil {
			return bytes.HasPrefix(bytes.TrimSpace(data[1:]), []byte(`"keys"`)) // the key file parser reports the error
		}
		return len(file.Keys) > 0 && file.Keys[0] == '['
	default:
		return !looksLikeCSV(data)
	}
}

func looksLikeCSV(data []byte) bool {
	header, _, _ := bytes.Cut(data, []byte("\n"))
	columns := strings.Split(strings.ReplaceAll(strings.TrimSpace(string(header)), `"`, ""), ",")
	return slices.Contains(columns, "key") && len(columns) > 1
}

func readRows(data []byte) ([]row, error) {
	switch trimmed := bytes.TrimSpace(data); {
	case trimmed[0] == '[', trimmed[0] == '{':
		return readJSON(data)
	case looksLikeCSV(trimmed):
		return readCSV(data)
	default:
		return nil, &ParseError{"line 1", "the input is neither a JSON list, nor JSON objects, one per line, nor CSV with a header that " +
			"contains the column key; with psql use the options -At"}
	}
}

// readJSON parses a list of objects, or consecutive objects.
func readJSON(data []byte) ([]row, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	list := bytes.TrimSpace(data)[0] == '['
	if list {
		_, _ = dec.Token() // the opening bracket
	}
	var (
		rows  []row
		lines = lineCounter{data: data, line: 1}
	)
	for n := 1; dec.More(); n++ {
		place := fmt.Sprintf("item %d", n)
		if !list {
			place = lines.place(skipSpace(data, dec.InputOffset()))
		}
		if n > maxRows {
			return nil, &ParseError{place, tooMany}
		}
		var values map[string]any
		switch err := dec.Decode(&values); {
		case err != nil:
			return nil, notJSON(data, place, err)
		case values == nil:
			return nil, &ParseError{place, "null is not a key: remove it"}
		}
		rows = append(rows, row{place, values})
	}
	if !list && skipSpace(data, dec.InputOffset()) == int64(len(data)) {
		return rows, nil
	}
	if _, err := dec.Token(); err != nil {
		return nil, notJSON(data, lineAt(data, int64(len(data))), err)
	}
	if at := skipSpace(data, dec.InputOffset()); at < int64(len(data)) {
		return nil, &ParseError{lineAt(data, at), "unexpected text after the list: remove it"}
	}
	return rows, nil
}

// notJSON returns an error without the library's text, which may contain parts of the input.
func notJSON(data []byte, place string, err error) error {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &kind):
		return &ParseError{place, "not a JSON object"}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &ParseError{lineAt(data, int64(len(data))), "unexpected end of the JSON: a closing quote or bracket is missing"}
	case errors.As(err, &syntax):
		return &ParseError{lineAt(data, errorOffset(data)), "invalid JSON: look for a missing or surplus comma, quote or bracket"}
	default:
		return &ParseError{place, "invalid JSON"}
	}
}

// errorOffset returns the offset of the syntax error in data. The standard library's offset is relative to the start of a value.
func errorOffset(data []byte) int64 {
	dec := jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true))
	for {
		if _, err := dec.ReadToken(); err != nil {
			if syntactic := (*jsontext.SyntacticError)(nil); errors.As(err, &syntactic) {
				return syntactic.ByteOffset
			}
			return int64(len(data))
		}
	}
}

func skipSpace(data []byte, at int64) int64 {
	for at < int64(len(data)) && strings.IndexByte(" \t\r\n", data[at]) >= 0 {
		at++
	}
	return at
}

// lineCounter returns the lines of increasing offsets.
type lineCounter struct {
	data []byte
	at   int64
	line int
}

func (c *lineCounter) place(offset int64) string {
	c.line += bytes.Count(c.data[c.at:offset], []byte("\n"))
	c.at = offset
	return fmt.Sprintf("line %d", c.line)
}

// lineAt returns the line of an offset, as a position.
func lineAt(data []byte, offset int64) string {
	offset = min(max(offset, 0), int64(len(data)))
	return fmt.Sprintf("line %d", 1+bytes.Count(data[:offset], []byte("\n")))
}

func readCSV(data []byte) ([]row, error) {
	r := csv.NewReader(bytes.NewReader(data))
	header, err := r.Read()
	if err != nil {
		return nil, badCSV(err)
	}
	columns := make(map[string]bool, len(header))
	for i, name := range header {
		if header[i] = strings.TrimSpace(name); columns[header[i]] {
			return nil, &ParseError{"line 1", fmt.Sprintf("column %d has the same name as another column", i+1)}
		}
		columns[header[i]] = true
	}
	var rows []row
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, badCSV(err)
		}
		line, _ := r.FieldPos(0)
		if len(rows) == maxRows {
			return nil, &ParseError{fmt.Sprintf("line %d", line), tooMany}
		}
		values := make(map[string]any, len(record))
		for i, text := range record {
			values[header[i]] = text
		}
		rows = append(rows, row{fmt.Sprintf("line %d", line), values})
	}
}

func badCSV(err error) error {
	if pe := (*csv.ParseError)(nil); errors.As(err, &pe) {
		message := "invalid CSV: look for a missing or surplus quote"
		if errors.Is(pe.Err, csv.ErrFieldCount) {
			message = "the number of columns differs from the header"
		}
		return &ParseError{fmt.Sprintf("line %d", pe.Line), message}
	}
	return &ParseError{"", "invalid CSV"}
}

// detect returns the format of rows, by the names of their fields.
func detect(rows []row) (Format, error) {
	if len(rows) == 0 {
		return "", &ParseError{"", "the input contains no keys"}
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(rows, func(r row) bool {
			return slices.ContainsFunc(names, func(name string) bool { _, exists := r.values[name]; return exists })
		})
	}
	switch {
	case has("_id") && has("agent_type", "status", "description", "createdAt", "tools"):
		return MongoAgents, nil
	case has("_id"):
		return MongoKeys, nil
	case has("source_id", "extra_source_ids", "user_id"):
		return PostgresAgents, nil
	case has("id") && has("key") && has("source"):
		return APIKeys, nil
	default:
		return "", &ParseError{"", "the format cannot be detected: specify it, one of " + words(Formats())}
	}
}
