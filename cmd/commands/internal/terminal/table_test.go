package terminal

import (
	"strings"
	"testing"
	"unicode"
)

// With any content of the cells, a table has one line per row, aligned columns, and no line wider than the terminal.
func TestTableHostileCells(t *testing.T) {
	names := []string{
		"plain", "", "<script>", strings.Repeat("long ", 2000), strings.Repeat("漢", 300), "a\nb\nc", "\x1b]0;title\a\x1b[31m",
		"\u202eright to left", "שלום עולם " + strings.Repeat("שלום ", 100), "👩‍👩‍👧 family", "e\u0301\u0301\u0301", "\xff\xfe",
		strings.Repeat("\u200d", 100), "tab\there",
	}
	for _, room := range []int{0, 200, 80, 40, 10, 1} {
		rows := Table{Heading: []string{"ID", "NAME", "STATE"}}
		for _, name := range names {
			rows.Add("key_1", name, "active")
		}
		var out strings.Builder
		if err := rows.fit(&out, room); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != len(names)+1 {
			t.Fatalf("%d lines in %d columns", len(lines), room)
		}
		column := widths.StringWidth(lines[0][:max(0, strings.Index(lines[0], "STATE"))])
		for i, line := range lines {
			if w := widths.StringWidth(line); room > 0 && w > room {
				t.Errorf("%d columns for %d: %q", w, room, line)
			}
			if room == 0 || room >= 40 {
				before, _, found := strings.Cut(line, "active")
				if i > 0 && (!found || widths.StringWidth(before) != column) {
					t.Errorf("in %d columns the state begins at %d, not %d: %q", room, widths.StringWidth(before), column, line)
				}
			}
			for _, r := range line {
				if unicode.IsControl(r) || r == '\u202e' {
					t.Errorf("%U reaches the terminal", r)
				}
			}
		}
	}
}
