package cli

import (
	"strings"
	"testing"
)

func TestReadToken(t *testing.T) {
	long := strings.Repeat("x", maxTokenBytes)
	signed := "eyJ." + long + "." + long + long
	for _, c := range []struct{ name, in, token, fault string }{
		{"with a line end", "dgk_a\n", "dgk_a", ""},
		{"with CR LF", "dgk_a\r\n", "dgk_a", ""},
		{"without a line end", "dgk_a", "dgk_a", ""},
		{"any printable character", "!\"'\\~\n", "!\"'\\~", ""},
		{"maximum length", long + "\r\n", long, ""},
		{"a signed token", signed, signed, ""},
		{"a signed token that is too long", signed + long + long, "", "longer than 512 bytes"},
		{"empty", "", "", "no token"},
		{"only a line end", "\n", "", "no token"},
		{"two lines", "dgk_a\ndgk_b\n", "", "more than one line"},
		{"two line ends", "dgk_a\n\n", "", "more than one line"},
		{"carriage return inside", "dgk_a\rb\n", "", "more than one line"},
		{"too long", long + "y", "", "longer than 512 bytes"},
		{"much too long", strings.Repeat(long, 3), "", "longer than 512 bytes"},
		{"leading space", " dgk_a\n", "", "space"},
		{"tab inside", "dgk\ta\n", "", "space"},
		{"not ASCII", "dgk_é\n", "", "ASCII"},
		{"NUL", "dgk_\x00\n", "", "ASCII"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var prompt strings.Builder
			token, err := ReadToken(strings.NewReader(c.in), &prompt)
			if token != c.token || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("token %q, error %v", token, err)
			}
			if err != nil && strings.Contains(err.Error(), "dgk") {
				t.Errorf("the error contains the input: %v", err)
			}
			if prompt.Len() > 0 {
				t.Errorf("prompt on a pipe: %q", prompt.String())
			}
		})
	}
}
