package commands

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

func TestSanitize(t *testing.T) {
	for _, c := range []struct{ name, in, out string }{
		{"text stays", "Docs site", "Docs site"},
		{"other scripts and emoji stay", "日本語 café 👩‍👩‍👧 🇩🇪", "日本語 café 👩‍👩‍👧 🇩🇪"},
		{"markup is text", "<script>alert(1)</script>", "<script>alert(1)</script>"},
		{"an escape sequence does not reach the terminal", "a\x1b[2Jb", "a<U+001B>[2Jb"},
		{"nor one of the 8-bit controls", "a\u009b2Jb", "a<U+009B>2Jb"},
		{"a line end is escaped", "a\nb\r\nc", "a<U+000A>b<U+000D><U+000A>c"},
		{"a tab becomes a space", "a\tb", "a b"},
		{"line separators are escaped", "a\u2028b\u2029", "a<U+2028>b<U+2029>"},
		{"direction overrides are escaped", "a\u202ecod.exe", "a<U+202E>cod.exe"},
		{"isolates and marks are escaped", "\u2066a\u2069\u200e\u200f\u061c", "<U+2066>a<U+2069><U+200E><U+200F><U+061C>"},
		{"invisible characters are escaped", "a\u200bb\ufeff\u00ad\u3164", "a<U+200B>b<U+FEFF><U+00AD><U+3164>"},
		{"tags are escaped", "a\U000e0041", "a<U+E0041>"},
		{"right-to-left text ends with a mark", "שלום", "שלום\u200e"},
		{"invalid UTF-8 is shown as bytes", "a\xffb\xc3", "a<FF>b<C3>"},
		{"a replacement character stays", "a\ufffd", "a\ufffd"},
		{"private-use characters are escaped", "\ue000\uffff", "<U+E000><U+FFFF>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := sanitize(c.in); got != c.out {
				t.Errorf("%q, not %q", got, c.out)
			}
		})
	}
}

// With any content of the cells, a table has one line per row, aligned columns, and no line wider than the terminal.
func TestTableHostileCells(t *testing.T) {
	names := []string{
		"plain", "", "<script>", strings.Repeat("long ", 2000), strings.Repeat("漢", 300), "a\nb\nc", "\x1b]0;title\a\x1b[31m",
		"\u202eright to left", "שלום עולם " + strings.Repeat("שלום ", 100), "👩‍👩‍👧 family", "e\u0301\u0301\u0301", "\xff\xfe",
		strings.Repeat("\u200d", 100), "tab\there",
	}
	for _, room := range []int{0, 200, 80, 40, 10, 1} {
		rows := table{heading: []string{"ID", "NAME", "STATE"}}
		for _, name := range names {
			rows.add("key_1", name, "active")
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

// A JSON line decodes to the same value, is one line, and does not control a terminal.
func TestJSONLine(t *testing.T) {
	name := "a\x1b\u009b\u202e\u2028\U000e0041\u200b שלום <b>"
	in, err := json.MarshalIndent(map[string]any{"name": name, "n": 1}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := jsonLine(&out, in); err != nil {
		t.Fatal(err)
	}
	line, more, _ := strings.Cut(out.String(), "\n")
	if more != "" {
		t.Errorf("more than one line: %q", out.String())
	}
	for _, r := range line {
		if isNonPrinting(r) {
			t.Errorf("%U is not escaped", r)
		}
	}
	var back struct{ Name string }
	if err := json.Unmarshal([]byte(line), &back); err != nil || back.Name != name {
		t.Errorf("%q %v", back.Name, err)
	}
}
