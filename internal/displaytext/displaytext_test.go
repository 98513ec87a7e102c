package displaytext_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/docsgate/docsgate/internal/displaytext"
)

func TestLine(t *testing.T) {
	for _, c := range []struct{ name, in, line, printable string }{
		{"plain", "Docs site", "Docs site", "Docs site"},
		{"empty", "", "", ""},
		{"white space", "  two\t\r\nlines\u00a0here\u3000 ", "two lines here", "two lines here"},
		{"separators", "a\u2028b\u2029c\u0085d", "a b c d", "a b c d"},
		{"escape sequences", "\x1b[31mred\x00", "[31mred", "[31mred"},
		{"direction of text", "a\u202egnirts\u2066b\u200e", "a\u202egnirts\u2066b\u200e", "agnirtsb"},
		{"right to left", "\u05d0\u05d1", "\u05d0\u05d1", "\u05d0\u05d1"},
		{"invisible", "\u200b\ufeff\u00ad\u3164\ue000\ufdd0", "\u200b\ufeff\u00ad\u3164\ue000\ufdd0", ""},
		{"joiners", "\u0645\u06cc\u200c\u062e \U0001F469\u200d\U0001F52C", "\u0645\u06cc\u200c\u062e \U0001F469\u200d\U0001F52C", "\u0645\u06cc\u200c\u062e \U0001F469\u200d\U0001F52C"},
		{"only joiners", "\u200d\u200c", "\u200d\u200c", ""},
		{"invalid UTF-8", "bad \xff bytes", "bad \ufffd bytes", "bad \ufffd bytes"},
		{"as long as allowed", strings.Repeat("ü", 200), strings.Repeat("ü", 200), strings.Repeat("ü", 200)},
		{"too long", strings.Repeat("ü", 201), strings.Repeat("ü", 199) + "…", strings.Repeat("ü", 199) + "…"},
		{"too long, cut at a space", strings.Repeat("ü", 198) + " abc", strings.Repeat("ü", 198) + "…", strings.Repeat("ü", 198) + "…"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := displaytext.Line(c.in, 200); got != c.line {
				t.Errorf("line: %q, not %q", got, c.line)
			}
			if got := displaytext.PrintableLine(c.in, 200); got != c.printable {
				t.Errorf("printable line: %q, not %q", got, c.printable)
			}
		})
	}
}

// The result is valid, not longer than allowed, and stays as it is.
func FuzzLine(f *testing.F) {
	for _, text := range []string{"Docs", "a\u202eb", "\xff\n\x1b[31m", strings.Repeat("ü \u200d", 20), "\u200d\n", "\u200d \u200d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		const limit = 10
		for _, reduce := range []func(string, int) string{displaytext.Line, displaytext.PrintableLine} {
			line := reduce(text, limit)
			if !utf8.ValidString(line) || utf8.RuneCountInString(line) > limit || strings.ContainsFunc(line, displaytext.BreaksLine) {
				t.Errorf("%q", line)
			}
			if again := reduce(line, limit); again != line {
				t.Errorf("%q becomes %q", line, again)
			}
		}
		if line := displaytext.PrintableLine(text, limit); strings.ContainsFunc(line, displaytext.IsNonPrinting) {
			t.Errorf("%q", line)
		}
	})
}
