package keyscmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/console/api"
)

// fakeImportServer is a gate that imports keys and records the requests.
type fakeImportServer struct {
	mu     sync.Mutex
	sizes  []int // of the batches that were written
	checks int
	bytes  int    // of the largest request
	breaks int    // the batch at which the connection breaks; 0: none
	fault  string // name of a key that is not valid

	problem string // unusable_reason in the response to the first batch
}

func (f *fakeImportServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes = max(f.bytes, len(body))
	var in struct {
		Keys []importItem `json:"keys"`
		Dry  bool         `json:"dry_run"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		panic(err)
	}
	if in.Dry {
		f.checks++
	} else if f.breaks == len(f.sizes)+1 {
		panic(http.ErrAbortHandler)
	} else {
		f.sizes = append(f.sizes, len(in.Keys))
	}
	var all []api.ImportedKey
	for i, k := range in.Keys {
		if k.Name == f.fault {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprintf(w, `{"errors":[{"field":"keys[%d].expires","pointer":"/keys/%d/expires","message":"is over"}]}`, i, i)
			return
		}
		all = append(all, api.ImportedKey{ID: k.ID, Name: k.Name, Token: tokenLike(k.Name)})
	}
	answer := map[string]any{"imported": all}
	if !in.Dry && len(f.sizes) == 1 {
		answer["unusable_reason"] = f.problem
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func runImport(t *testing.T, f *fakeImportServer, keys []importItem, dry bool) (out, notes string, err error) {
	t.Helper()
	g := dial(t, f.ServeHTTP)
	var stdout, stderr strings.Builder
	cmd := new(cobra.Command)
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	err = g.importKeys(t.Context(), cmd, keys, dry, false)
	f.mu.Lock() // a handler that broke off may not have returned yet
	defer f.mu.Unlock()
	return stdout.String(), stderr.String(), err
}

func importItems(n int, name string) []importItem {
	all := make([]importItem, n)
	for i := range all {
		all[i] = importItem{KeyRequest: api.KeyRequest{ID: fmt.Sprintf("id%d", i), Name: fmt.Sprintf("%s%d", name, i)}, place: fmt.Sprintf("line %d", i+1)}
	}
	return all
}

func TestImportInBatches(t *testing.T) {
	t.Run("a thousand keys are one request", func(t *testing.T) {
		f := new(fakeImportServer)
		if _, _, err := runImport(t, f, importItems(1000, "n"), false); err != nil || len(f.sizes) != 1 || f.checks != 0 {
			t.Errorf("%+v %v", f, err)
		}
	})
	t.Run("of more all are checked before the first is written", func(t *testing.T) {
		f := new(fakeImportServer)
		out, notes, err := runImport(t, f, importItems(2500, "n"), false)
		if err != nil || fmt.Sprint(f.sizes) != "[1000 1000 500]" || f.checks != 3 {
			t.Errorf("%+v %v", f, err)
		}
		if n := strings.Count(out, "dgk_n"); n != 2500 || !strings.Contains(notes, "2,500 keys imported") {
			t.Errorf("%d tokens printed; %s", n, notes)
		}
	})
	t.Run("large keys make small batches", func(t *testing.T) {
		f := new(fakeImportServer)
		if _, _, err := runImport(t, f, importItems(100, strings.Repeat("long", 1<<15)), true); err != nil || f.bytes > importBatchBytes+1<<10 ||
			f.checks < 3 || len(f.sizes) > 0 {
			t.Errorf("%d bytes, %d checks, %v", f.bytes, f.checks, err)
		}
	})
	t.Run("an error names the position of the key, and nothing is imported", func(t *testing.T) {
		f := &fakeImportServer{fault: "n1700"}
		keys := importItems(2500, "n")
		keys[1700].place = "line 1701 (\u202en1700)"
		_, _, err := runImport(t, f, keys, false)
		if cli.Status(err) != cli.ExitRejected || err.Error() != "line 1701 (<U+202E>n1700), expires: is over" || len(f.sizes) > 0 {
			t.Errorf("%+v %v", f, err)
		}
	})
	t.Run("new tokens are printed although a later batch fails, and it is not retried", func(t *testing.T) {
		f := &fakeImportServer{breaks: 2}
		out, _, err := runImport(t, f, importItems(2500, "n"), false)
		if n := strings.Count(out, "dgk_n"); n != 1000 || cli.Status(err) != cli.ExitUnreachable || len(f.sizes) != 1 ||
			!strings.Contains(err.Error(), "rotate") {
			t.Errorf("%d tokens, %+v, %v", n, f, err)
		}
	})
	t.Run("keys that are not usable yet are reported", func(t *testing.T) {
		f := &fakeImportServer{problem: "it is stored, but not applied yet"}
		out, notes, err := runImport(t, f, importItems(1500, "n"), false)
		if n := strings.Count(out, "dgk_n"); err != nil || n != 1500 || strings.Count(notes, "not usable yet: "+f.problem) != 1 {
			t.Errorf("%d tokens, %q, %v", n, notes, err)
		}
	})
	t.Run("no keys are no request", func(t *testing.T) {
		f := new(fakeImportServer)
		if _, notes, err := runImport(t, f, nil, false); err != nil || f.bytes > 0 || !strings.Contains(notes, "no keys") {
			t.Errorf("%+v %q %v", f, notes, err)
		}
	})
}

func TestImportPrintErrors(t *testing.T) {
	report := importReport{out: brokenWriter{}}
	if err := report.add(json.RawMessage(`{"id":"a","token":"` + tokenLike("x") + `"}`)); err == nil || !strings.Contains(err.Error(), "rotate") {
		t.Error(err)
	}
	cmd := new(cobra.Command)
	cmd.SetOut(brokenWriter{})
	cmd.SetErr(io.Discard)
	err := printToken(cmd, &key{Key: api.Key{ID: "key_1", Token: tokenLike("x")}}, false, "created")
	if err == nil || !strings.Contains(err.Error(), "rotate") || strings.Contains(err.Error(), "dgk_") {
		t.Error(err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left") }
