package gateclient

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// Without a running gate, the commands open the database of the configuration, or the one that --store names.
func TestOpenDatabase(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("STORE_URI", pgtest.URI("postgres", pgtest.Database(t)))
	config := filepath.Join(t.TempDir(), "config.json")
	text := `{"admin":{"disabled":true},"apps":{"docsgate":{"feeds":[{"feed":"store","path":"{env.STORE_URI}","schema":"gates"}]}}}`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var notes bytes.Buffer
	call := func(f Flags, method, path string, in any) map[string]any {
		t.Helper()
		c, err := f.Open(t.Context(), &notes)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		var out map[string]any
		if err := c.Call(t.Context(), method, path, in, "", &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	made := call(Flags{Config: config}, http.MethodPost, "/v1/keys", map[string]string{"name": "k", "source": "s"})
	if found := call(Flags{Config: config}, http.MethodGet, "/v1/keys/"+made["id"].(string), nil); found["name"] != "k" {
		t.Errorf("found %v", found)
	}
	if got := notes.String(); !strings.Contains(got, "using the store database store:"+pgtest.Host()) {
		t.Errorf("notes: %s", got)
	}
	if all := call(Flags{Store: "{env.STORE_URI}"}, http.MethodGet, "/v1/keys", nil); len(all["keys"].([]any)) != 0 {
		t.Errorf("the default schema has keys: %v", all)
	}
	_, err := (&Flags{Store: "postgres://u:hunter2@db/d"}).Open(t.Context(), &notes)
	if err == nil || !strings.HasPrefix(err.Error(), "--store: ") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a password on the command line: %v", err)
	}
}
