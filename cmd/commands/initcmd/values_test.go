package initcmd

import (
	"net/url"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/docsgate/docsgate/docsgpt/discovery"
)

func TestParseSite(t *testing.T) {
	for given, want := range map[string]site{
		"ask.example.com":          {text: "ask.example.com", url: "https://ask.example.com", host: "ask.example.com", https: true},
		"ask.example.com:8443":     {text: "ask.example.com:8443", url: "https://ask.example.com:8443", host: "ask.example.com", https: true},
		"https://ask.example.com/": {text: "https://ask.example.com", url: "https://ask.example.com", host: "ask.example.com", https: true},
		"http://ask.example.com":   {text: "http://ask.example.com", url: "http://ask.example.com", host: "ask.example.com", anyName: "http://:80"},
		"http://localhost:8080":    {text: "http://:8080", url: "http://localhost:8080", host: "localhost", bind: "127.0.0.1"},
		"localhost:8080":           {text: "localhost:8080", url: "https://localhost:8080", host: "localhost", bind: "127.0.0.1", https: true},
		"http://127.0.0.1:80":      {text: "http://:80", url: "http://127.0.0.1", host: "127.0.0.1", bind: "127.0.0.1"},
		":8080":                    {text: ":8080", url: "http://localhost:8080"},
		"http://[::1]:8080":        {text: "http://:8080", url: "http://[::1]:8080", host: "::1", bind: "::1"},
	} {
		if got, err := parseSite(given); err != nil || got != want {
			t.Errorf("%s: %+v, %v", given, got, err)
		}
	}
	for _, given := range []string{"", "a b", "a/b", "{env.X}", "*.example.com", "a,b", "ftp://a", `"a"`, "a#b", "ä"} {
		if got, err := parseSite(given); err == nil {
			t.Errorf("%q: %+v", given, got)
		}
	}
}

// Each combination of values is a Caddyfile that "docsgate fmt" does not change.
func TestCaddyfileIsFormatted(t *testing.T) {
	for _, given := range []string{"ask.example.com", "http://localhost:8080", ":8080", "http://[::1]:8080", "http://ask.example.com"} {
		for _, feeds := range [][]string{{feedDocsGPT}, {feedStore}, {feedDocsGPT, feedStore}} {
			for _, admin := range []int{0, 2020} {
				s, err := parseSite(given)
				if err != nil {
					t.Fatal(err)
				}
				c := config{upstream: "http://127.0.0.1:7091", site: s, feeds: feeds, consolePort: 8099, adminPort: admin}
				text := c.caddyfile()
				if formatted := string(caddyfile.Format([]byte(text))); formatted != text {
					t.Errorf("%s %v: got\n%s\nformatted\n%s", given, feeds, text, formatted)
				}
			}
		}
	}
}

// A shell reads the env file as it was meant.
func TestEscapeForEnvFile(t *testing.T) {
	const hostile = "postgresql://me:a%40\"$(id)`id`\\'#!;& ä@db/docsgpt?sslmode=require&x=y"
	if runtime.GOOS != "windows" {
		path := filepath.Join(t.TempDir(), "env")
		c := config{postgresURI: hostile}
		if err := writeNew(path, c.envFile(), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "sh", "-c", `. "$1"; printf %s "$`+uriVariable+`"`, "sh", path).CombinedOutput()
		if want := escapeForEnvFile(hostile); err != nil || string(out) != want {
			t.Errorf("got %s, %v; want %s", out, err, want)
		}
	}
	const meant = "me:a@\"$(id)`id`\\'#!;& ä"
	u, err := url.Parse(escapeForEnvFile(hostile))
	if err != nil {
		t.Fatal(err)
	}
	if password, _ := u.User.Password(); u.User.Username()+":"+password != meant {
		t.Errorf("user and password are %s:%s", u.User.Username(), password)
	}
}

// Only settings that name the address are those of the DocsGPT there.
func TestSettingsOf(t *testing.T) {
	a := &discovery.Settings{Addresses: []string{"http://127.0.0.1:7091"}}
	b := &discovery.Settings{Addresses: []string{"http://127.0.0.1:7092", "http://10.0.0.7:7093"}}
	all := []*discovery.Settings{a, b}
	for address, want := range map[string]*discovery.Settings{
		"http://localhost:7091": a, "http://localhost:7092": b, "http://10.0.0.7:7093": b,
		"http://10.0.0.7:7091": nil, "http://localhost:7093": nil,
	} {
		if got := settingsOf(address, all, false); got != want {
			t.Errorf("%s: %+v", address, got)
		}
	}
	if settingsOf("http://10.0.0.9:7091", []*discovery.Settings{a}, true) != a || settingsOf("http://10.0.0.9:7091", all, true) != nil {
		t.Error("the only folder that was named does not decide")
	}
}

func TestQuoted(t *testing.T) {
	for path, want := range map[string]string{"Caddyfile": "Caddyfile", "./a/b.env": "./a/b.env", "": "''", "my dir/it's": `'my dir/it'\''s'`} {
		if got := quoted(path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	if !slices.Contains(feedChoices["both"], feedStore) {
		t.Error("both has no store")
	}
}
