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

// row is one document of a database, or one object of a list.
type row struct {
	place  string
	values map[string]any // as encoding/json has them, with json.Number; of CSV only texts
}

// looksLikeKeyFile tells a key file from the other formats: YAML, or a JSON object whose member keys is a list.
func looksLikeKeyFile(data []byte) bool {
	data = bytes.TrimSpace(data)
	switch data[0] {
	case '[':
		// Lists are written by programs; people who write a key file begin with "keys:".
		return false
	case '{':
		var file struct {
			Keys json.RawMessage `json:"keys"`
		}
		// Only the first object: there may be one a line.
		if json.NewDecoder(bytes.NewReader(data)).Decode(&file) != nil {
			return bytes.HasPrefix(bytes.TrimSpace(data[1:]), []byte(`"keys"`)) // its reader says what is wrong
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
		return nil, &Fault{"line 1", "this is neither a JSON list, nor JSON objects one a line, nor CSV with a header that " +
			"names the column key; with psql use the options -At"}
	}
}

// readJSON reads a list of objects, or objects one after the other.
func readJSON(data []byte) ([]row, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	list := bytes.TrimSpace(data)[0] == '['
	if list {
		_, _ = dec.Token() // it is there
	}
	var (
		rows  []row
		lines = counter{data: data, line: 1}
	)
	for n := 1; dec.More(); n++ {
		place := fmt.Sprintf("item %d", n)
		if !list {
			place = lines.place(skipBlanks(data, dec.InputOffset()))
		}
		if n > maxRows {
			return nil, &Fault{place, tooMany}
		}
		var values map[string]any
		switch err := dec.Decode(&values); {
		case err != nil:
			return nil, notJSON(data, place, err)
		case values == nil:
			return nil, &Fault{place, "null is no key: remove it"}
		}
		rows = append(rows, row{place, values})
	}
	if !list && skipBlanks(data, dec.InputOffset()) == int64(len(data)) {
		return rows, nil
	}
	if _, err := dec.Token(); err != nil {
		return nil, notJSON(data, lineAt(data, int64(len(data))), err)
	}
	if at := skipBlanks(data, dec.InputOffset()); at < int64(len(data)) {
		return nil, &Fault{lineAt(data, at), "nothing may follow the list"}
	}
	return rows, nil
}

// notJSON says what is wrong without the library's text, which may repeat what stands there.
func notJSON(data []byte, place string, err error) error {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &kind):
		return &Fault{place, "this is not a JSON object"}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return &Fault{lineAt(data, int64(len(data))), "the JSON ends too early: a closing quote or bracket is missing"}
	case errors.As(err, &syntax):
		return &Fault{lineAt(data, brokenAt(data)), "this is not JSON: look for a missing or surplus comma, quote or bracket"}
	default:
		return &Fault{place, "this is not JSON"}
	}
}

// brokenAt is the offset at which data ends to be JSON: the standard library counts it from where a value begins.
func brokenAt(data []byte) int64 {
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

func skipBlanks(data []byte, at int64) int64 {
	for at < int64(len(data)) && strings.IndexByte(" \t\r\n", data[at]) >= 0 {
		at++
	}
	return at
}

// counter finds the lines of offsets that only grow.
type counter struct {
	data []byte
	at   int64
	line int
}

func (c *counter) place(offset int64) string {
	c.line += bytes.Count(c.data[c.at:offset], []byte("\n"))
	c.at = offset
	return fmt.Sprintf("line %d", c.line)
}

// lineAt is the place of an offset.
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
			return nil, &Fault{"line 1", fmt.Sprintf("column %d has the name of another one", i+1)}
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
			return nil, &Fault{fmt.Sprintf("line %d", line), tooMany}
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
		message := "this is not CSV: look for a missing or surplus quote"
		if errors.Is(pe.Err, csv.ErrFieldCount) {
			message = "this line has another number of columns than the header"
		}
		return &Fault{fmt.Sprintf("line %d", pe.Line), message}
	}
	return &Fault{"", "this is not CSV"}
}

// detect finds out what rows are from, by the names in them.
func detect(rows []row) (Format, error) {
	if len(rows) == 0 {
		return "", &Fault{"", "there is no key in it"}
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(rows, func(r row) bool {
			return slices.ContainsFunc(names, func(name string) bool { _, there := r.values[name]; return there })
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
		return "", &Fault{"", "what this is cannot be told from its members: name the format, one of " + words(Formats())}
	}
}
