package keyscmd

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/visitortoken"
)

// runSign runs "keys sign" with an input.
func runSign(input string, args ...string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd := signCommand()
	cmd.SetIn(strings.NewReader(input))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetArgs(args)
	cmd.SilenceUsage = true
	err = cmd.Execute()
	return out.String(), errs.String(), err
}

func TestSignCommand(t *testing.T) {
	const text = "a-secret-for-signing-with-enough-bytes"
	t.Setenv("DOCS_SIGN_SECRET", text)
	secret, err := visitortoken.NewSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	settings := visitortoken.Settings{Secrets: []visitortoken.Secret{secret}, Generation: 2}
	for name, input := range map[string]struct {
		stdin string
		args  []string
	}{
		"standard input": {text + "\n", []string{"--secret-stdin"}},
		"variable":       {"", []string{"--secret", "{env.DOCS_SIGN_SECRET}"}},
	} {
		out, _, err := runSign(input.stdin, append([]string{
			"docs-site", "--visitor", "u-42", "--expires", "1h", "--origin", "https://docs.example.com", "--generation", "2",
		}, input.args...)...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		v, err := settings.Verify(strings.TrimSuffix(out, "\n"), "docs-site", time.Now())
		if err != nil || v.ID != "u-42" || len(v.Origins) != 1 || time.Until(v.Expires()) < 58*time.Minute {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

func TestSignCommandRejects(t *testing.T) {
	const text = "a-secret-for-signing-with-enough-bytes"
	for name, c := range map[string]struct {
		stdin string
		args  []string
	}{
		"no visitor":            {text, []string{"docs-site", "--secret-stdin"}},
		"no key":                {text, []string{"--visitor", "v", "--secret-stdin"}},
		"no secret":             {"", []string{"docs-site", "--visitor", "v", "--secret-stdin"}},
		"short secret":          {"short", []string{"docs-site", "--visitor", "v", "--secret-stdin"}},
		"secret as an argument": {"", []string{"docs-site", "--visitor", "v", "--secret", text}},
		"two days":              {text, []string{"docs-site", "--visitor", "v", "--expires", "2d", "--secret-stdin"}},
		"two secrets":           {text, []string{"docs-site", "--visitor", "v", "--secret-stdin", "--secret", "{env.X}"}},
		"any origin":            {text, []string{"docs-site", "--visitor", "v", "--origin", "*", "--secret-stdin"}},
		"visitor":               {text, []string{"docs-site", "--visitor", "two words", "--secret-stdin"}},
		"key":                   {text, []string{"a key", "--visitor", "v", "--secret-stdin"}},
	} {
		out, errs, err := runSign(c.stdin, c.args...)
		if err == nil || out != "" || strings.Contains(errs+err.Error(), text) {
			t.Errorf("%s: %q, %q, %v", name, out, errs, err)
		}
	}
}
