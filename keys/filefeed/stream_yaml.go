package filefeed

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// yaml decodes a key file in the usual form; see splitYAML, which has the conditions and the reason why keys can be parsed on their own. Keys of
// simple lines are parsed here, the others by the library.
func (s *stream) yaml(in *bufio.Reader) error {
	y := yamlStream{stream: s, indent: -1}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(line) > 0 {
			if err := y.line(line); err != nil {
				return err
			}
		}
		if err != nil {
			break
		}
	}
	if y.indent < 0 {
		return errNotStreamed
	}
	return errors.Join(y.endKey(), y.flush())
}

// yamlStream collects the lines of keys.
type yamlStream struct {
	stream *stream
	header bool // the line "keys:" was read
	indent int  // of the list; -1: it has not begun
	lines  []byte
	begin  int // of the current key in lines; before it are keys that the library has to parse
	keys   int // before it
	open   bool
}

// line processes a line, which may end with a line break.
func (y *yamlStream) line(line []byte) error {
	text := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if bytes.IndexByte(text, '\r') >= 0 || len(text) == len(line)-1 && line[len(text)] == '\r' || containsAny(text, unusualLineBreaks) {
		return errNotStreamed
	}
	trimmed := bytes.TrimLeft(text, " ")
	column := len(text) - len(trimmed)
	item := bytes.HasPrefix(trimmed, []byte("- "))
	switch {
	case len(trimmed) == 0 || trimmed[0] == '#':
	case !y.header:
		if y.header = column == 0 && string(trimmed) == "keys:"; !y.header {
			return errNotStreamed
		}
		return nil
	case y.indent < 0 && !item, column < y.indent, column == y.indent && !item:
		return errNotStreamed
	case y.indent < 0 || column == y.indent:
		y.indent = column
		if err := y.endKey(); err != nil {
			return err
		}
		y.open = true
	}
	y.lines = append(append(y.lines, text...), '\n')
	return nil
}

// endKey decodes the key whose lines are complete, or leaves it to flush.
func (y *yamlStream) endKey() error {
	if !y.open {
		return nil
	}
	y.open = false
	y.stream.arena.reset()
	if n := parseSimpleKey(&y.stream.arena, string(y.lines[y.begin:])); n != nil {
		key := y.begin
		y.begin = len(y.lines)
		if y.keys > 0 { // in the order of the file
			y.lines = y.lines[:key]
			if err := y.flush(); err != nil {
				return err
			}
		}
		y.lines, y.begin = y.lines[:0], 0
		return y.stream.add(n)
	}
	y.begin = len(y.lines)
	y.keys++
	if len(y.lines) < partBytes {
		return nil
	}
	return y.flush()
}

// flush lets the library parse the keys that are not simple.
func (y *yamlStream) flush() error {
	if y.keys == 0 {
		return nil
	}
	root, fault := parseYAMLAt(y.lines, []byte("keys:\n"), 0)
	if fault != nil || root.kind != mapNode || len(root.fields) != 1 || len(root.fields[0].value.items) != y.keys {
		return errNotStreamed
	}
	for _, item := range root.fields[0].value.items {
		if err := y.stream.add(item); err != nil {
			return err
		}
	}
	y.lines, y.begin, y.keys = y.lines[:0], 0, 0
	return nil
}
