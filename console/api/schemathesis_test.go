package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docsgate/docsgate/console/auth"
	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/activity"
	"github.com/docsgate/docsgate/keys/registry"
)

// schemathesisTime is the timeout. It is long enough for a busy machine.
const schemathesisTime = 5 * time.Minute

// TestSchemathesis runs Schemathesis against a real server: it generates thousands of valid and invalid requests from openapi.json.
// Each response must conform to the document, and invalid requests must be rejected.
func TestSchemathesis(t *testing.T) {
	python := os.Getenv("DOCSGATE_PYTHON")
	if python == "" {
		python = filepath.Join("..", "..", ".cache", "venv", "bin", "python")
	}
	python, err := filepath.Abs(python)
	if err != nil {
		t.Fatal(err)
	}
	const how = "this test needs a Python with schemathesis: run `make test`, or scripts/provision.sh, which makes " +
		".cache/venv from scripts/python-requirements.txt, or name one in DOCSGATE_PYTHON"
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("%s (%v)", how, err)
	}
	const token = "an-admin-token-for-tests"
	var logged sync.Mutex
	w := newTestServer(t, func(o *Options) {
		o.Service.Activity = activity.New()
		o.Service.Sources = func(context.Context) ([]keyservice.Source, error) {
			return []keyservice.Source{{ID: "7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10", Name: "Handbook"}}, nil
		}
		o.Actor, o.Service.AnyAgent = auth.ActorOf, true // made-up references fit the document
		o.OnError = func(r *http.Request, err error) {
			logged.Lock()
			defer logged.Unlock()
			t.Errorf("%s %s: fault of the server: %v", r.Method, r.URL, err)
		}
	})
	w.withHistory()
	// The keys that schemathesis_hooks.py uses in requests.
	for batch := range 2 {
		items := make([]registry.Import, 1000)
		for i := range items {
			items[i] = registry.Import{ID: fmt.Sprintf("ready-%d", batch*len(items)+i), Sources: []string{"default"}}
		}
		if _, err := w.desk.Registry.Import(t.Context(), registry.Actor{Name: "test"}, items, false); err != nil {
			t.Fatal(err)
		}
	}
	// Each request has another address: some have wrong tokens deliberately, and must not throttle the others.
	var clients atomic.Int64
	before, err := auth.New(auth.Options{
		Token:    keys.NewSecret(token),
		ClientIP: func(*http.Request) string { return fmt.Sprintf("2001:db8:%x::1", clients.Add(1)%0xffff) },
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(before.Handler(w.api))
	defer server.Close()

	config, err := filepath.Abs(filepath.Join("testdata", "schemathesis.toml"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "openapi.json") // the document itself is behind the guard, too
	if err := os.WriteFile(file, document, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), schemathesisTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "-B", "-m", "schemathesis.cli", "--config-file", config,
		"run", "--checks", "all", "--url", server.URL, file)
	cmd.Dir = t.TempDir() // it leaves files where it runs
	cmd.Env = append(os.Environ(), "DOCSGATE_TOKEN="+token, "NO_COLOR=1", "PYTHONPATH="+filepath.Dir(config))
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		t.Fatalf("schemathesis: %v (%s)\n%s", err, how, &output)
	}
	t.Logf("%s", &output)
}
