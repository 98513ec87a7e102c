package visitortoken

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// signers are the programs that run the examples of the documentation, by the language of their block.
var signers = map[string]struct {
	file    string
	program []string
}{
	"js":  {"sign.cjs", []string{"node"}},
	"py":  {"sign.py", []string{"python3"}},
	"php": {"sign.php", []string{"php"}},
	"go":  {"sign.go", []string{"go", "run"}},
}

// The examples of the documentation sign tokens that are valid.
func TestDocumentedSigners(t *testing.T) {
	page, err := os.ReadFile("../docs/signed-visitors.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{}
	for _, found := range regexp.MustCompile("(?s)```(js|py|php|go)\n(.*?)```").FindAllSubmatch(page, -1) {
		blocks[string(found[1])] = string(found[2])
	}
	settings := &Settings{Secrets: []Secret{newSecret(t, secretText)}}
	for language, signer := range signers {
		t.Run(language, func(t *testing.T) {
			if blocks[language] == "" {
				t.Fatal("the page has no example")
			}
			path := filepath.Join(t.TempDir(), signer.file)
			if err := os.WriteFile(path, []byte(blocks[language]), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), signer.program[0], append(signer.program[1:], path, "u-42")...)
			cmd.Env = append(os.Environ(), "DOCS_SIGN_SECRET="+secretText)
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			v, err := settings.Verify(strings.TrimSpace(string(out)), "docs-site", time.Now())
			if err != nil || v.ID != "u-42" {
				t.Errorf("%s: %+v, %v", out, v, err)
			}
		})
	}
}
