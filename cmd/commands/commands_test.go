package commands

import (
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/rogpeppe/go-internal/testscript"

	_ "github.com/docsgate/docsgate/caddymodule"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"docsgate": caddycmd.Main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}

func TestReadToken(t *testing.T) {
	long := strings.Repeat("x", maxTokenBytes)
	for _, c := range []struct{ name, in, token, fault string }{
		{"with a line end", "dgk_a\n", "dgk_a", ""},
		{"with a line end of Windows", "dgk_a\r\n", "dgk_a", ""},
		{"without a line end", "dgk_a", "dgk_a", ""},
		{"any printable character", "!\"'\\~\n", "!\"'\\~", ""},
		{"the longest", long + "\r\n", long, ""},
		{"nothing", "", "", "no token"},
		{"only a line end", "\n", "", "no token"},
		{"two lines", "dgk_a\ndgk_b\n", "", "more than one line"},
		{"two line ends", "dgk_a\n\n", "", "more than one line"},
		{"carriage return inside", "dgk_a\rb\n", "", "more than one line"},
		{"too long", long + "y", "", "longer than 512 bytes"},
		{"much too long", strings.Repeat(long, 3), "", "longer than 512 bytes"},
		{"blank in front", " dgk_a\n", "", "blank"},
		{"tab inside", "dgk\ta\n", "", "blank"},
		{"not ASCII", "dgk_é\n", "", "ASCII"},
		{"NUL", "dgk_\x00\n", "", "ASCII"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var prompt strings.Builder
			token, err := readToken(strings.NewReader(c.in), &prompt)
			if token != c.token || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("token %q, error %v", token, err)
			}
			if err != nil && strings.Contains(err.Error(), "dgk") {
				t.Errorf("the error repeats what was read: %v", err)
			}
			if prompt.Len() > 0 {
				t.Errorf("a pipe is asked: %q", prompt.String())
			}
		})
	}
}
