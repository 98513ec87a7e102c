package visitortoken

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The server in examples/signed-visitors puts a valid token into its page, and knows its visitor again.
func TestExampleServer(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "node", "../examples/signed-visitors/server.mjs")
	cmd.Env = append(os.Environ(), "DOCS_KEY_ID=docs-site", "DOCS_SIGN_SECRET="+secretText, "GATE_URL=https://ask.example.com", "PORT=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	settings := &Settings{Secrets: []Secret{newSecret(t, secretText)}}
	visit := func(cookie string) (visitor, set string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSpace(address)+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", cookie)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`apiKey: "(eyJ[\w.-]+)"`).FindSubmatch(body)
		if found == nil || resp.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%v %s", resp.Header, body)
		}
		v, err := settings.Verify(string(found[1]), "docs-site", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		cookieValue, _, _ := strings.Cut(resp.Header.Get("Set-Cookie"), ";")
		return v.ID, cookieValue
	}
	visitor, cookie := visit("")
	if again, _ := visit("other=1; " + cookie); again != visitor {
		t.Errorf("the visitor is %s, then %s", visitor, again)
	}
	if other, _ := visit(`visitor=<script>`); other == visitor {
		t.Error("two visitors have the same ID")
	}
}
