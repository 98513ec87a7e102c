package terminal

import "testing"

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
			if got := Sanitize(c.in); got != c.out {
				t.Errorf("%q, not %q", got, c.out)
			}
		})
	}
}
