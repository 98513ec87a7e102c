package api

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/filefeed"
)

type importAnswer struct {
	Imported []struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		Token    string `json:"token"`
		Existing string `json:"existing"`
	} `json:"imported"`
	Dry     bool   `json:"dry_run"`
	Problem string `json:"unusable_reason"`
}

func TestImport(t *testing.T) {
	w := newTestServer(t)
	digest := keys.DigestOf("an-old-token").Hex()
	body := `{"keys":[
		{"id":"old","name":"Old key","source":["a","b"],"sha256":"` + digest + `","created":"2024-05-01T00:00:00Z"},
		{"name":"New","sources":["a"],"state":"disabled"},
		{"id":"gone","agent":"{env.A}","state":"revoked"}], "dry_run":DRY}`
	dry := decoded[importAnswer](w.call("POST", "/v1/import", strings.Replace(body, "DRY", "true", 1)).want(http.StatusOK))
	if !dry.Dry || len(dry.Imported) != 3 || dry.Imported[1].Token != "" || w.total() != 0 {
		t.Errorf("%+v, %d keys", dry, w.total())
	}
	taken := decoded[importAnswer](w.call("POST", "/v1/import", strings.Replace(body, "DRY", "false", 1)).want(http.StatusOK))
	if taken.Problem != "" || taken.Imported[0].ID != "old" || taken.Imported[0].Token != "" || !keys.HasValidChecksum(taken.Imported[1].Token) {
		t.Errorf("%+v", taken)
	}
	if got := w.decision("an-old-token"); got != keys.Allowed {
		t.Errorf("the old token is %s", got)
	}
	again := decoded[importAnswer](w.call("POST", "/v1/import", `{"keys":[{"id":"x","source":"a","sha256":"`+digest+`"}]}`).want(http.StatusOK))
	if again.Imported[0].Existing != "old" {
		t.Errorf("%+v", again)
	}
}

func TestImportIsAtomic(t *testing.T) {
	w := newTestServer(t)
	for name, tc := range map[string]struct {
		body     string
		pointers []string
	}{
		"one bad source":     {`{"keys":[{"source":"a"},{"id":"b","source":"bad"}]}`, []string{"/keys/1/source"}},
		"one of the sources": {`{"keys":[{"source":"a"},{"id":"b","sources":["bad"]}]}`, []string{"/keys/1/sources"}},
		"several faults":     {`{"keys":[{"name":"","source":"a"},{"state":"on","source":"a"}]}`, []string{"/keys/0/name", "/keys/1/state"}},
		"a digest":           {`{"keys":[{"source":"a","sha256":"abc"}]}`, []string{"/keys/0/sha256"}},
		"an unknown member":  {`{"keys":[{"source":"a"},{"source":"b","token":"{env.T}"}]}`, []string{"/keys/1/token"}},
		"the same id twice":  {`{"keys":[{"id":"a","source":"a"},{"id":"a","source":"b"}]}`, []string{"/keys/1/id"}},
		"another feed's id":  {`{"keys":[{"id":"from-file","source":"a"}]}`, []string{"/keys/0/id"}},
		"one token for two":  {fmt.Sprintf(`{"keys":[{"id":"a","source":"a","sha256":%q},{"id":"b","source":"a","sha256":%[1]q}]}`, keys.DigestOf("t").Hex()), []string{"/keys/1"}},
		"none":               {`{"keys":[]}`, []string{"/keys"}},
		"too many":           {`{"keys":[` + strings.Repeat(`{"source":"a"},`, maxImportKeys) + `{"source":"a"}]}`, []string{"/keys"}},
		"two bindings":       {`{"keys":[{"source":"a","agent":"{env.A}"}]}`, []string{"/keys/0/agent"}},
		"a number as source": {`{"keys":[{"source":7}]}`, []string{"/keys/0/source"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.call("POST", "/v1/import", tc.body).problem(http.StatusUnprocessableEntity, "invalid")
			var got []string
			for _, f := range p.Errors {
				got = append(got, f.Pointer)
			}
			if !slices.Equal(got, tc.pointers) {
				t.Errorf("the faults are %+v, want those at %v", p.Errors, tc.pointers)
			}
		})
	}
	if n := w.total(); n != 0 {
		t.Errorf("there are %d keys", n)
	}
}

// An export can be read by `feed file`, and the same tokens are valid.
func TestExportIsKeyFile(t *testing.T) {
	w := newTestServer(t)
	empty := w.call("GET", "/v1/export", "").want(http.StatusOK)
	if _, err := parseKeyFile(t, empty.Body); err != nil {
		t.Errorf("%v: %s", err, empty.Body)
	}
	source := w.call("POST", "/v1/keys", `{"name":"<a> \"b\" ü","sources":["a","b"],"expires":"2099-01-01T00:00:00Z"}`).want(201).key()
	agent := w.call("POST", "/v1/keys", `{"name":"agent","agent":"{env.A}"}`).want(201).key()
	revoked := w.makeKey()
	w.call("POST", "/v1/keys/"+revoked.ID+"/revoke", "").want(200)
	got := w.call("GET", "/v1/export", "").want(http.StatusOK)
	parsed, err := parseKeyFile(t, got.Body)
	if err != nil || len(parsed) != 2 {
		t.Fatalf("%d keys, %v: %s", len(parsed), err, got.Body)
	}
	for _, k := range parsed {
		for token, id := range map[string]string{source.Token: source.ID, agent.Token: agent.ID} {
			if (k.Digest == keys.DigestOf(token)) != (k.ID == id) {
				t.Errorf("%s has another token", k.ID)
			}
		}
	}
	if got.Header.Get("Content-Disposition") != "attachment; filename=keys.json" {
		t.Errorf("%v", got.Header)
	}
	// The export lists the keys that the file cannot contain.
	encrypted := w.call("POST", "/v1/keys", `{"name":"n","agent_key":"0f0e0d0c-0b0a-0908-0706-050403020100"}`).want(201).key()
	other := w.call("POST", "/v1/keys", `{"name":"n","agent":"from-file"}`).want(201).key()
	left := decoded[struct {
		Keys []exportedKey `json:"keys"`
		Left []string      `json:"skipped"`
	}](w.call("GET", "/v1/export", "").want(http.StatusOK))
	if len(left.Keys) != 2 || !slices.Equal(left.Left, []string{encrypted.ID, other.ID}) && !slices.Equal(left.Left, []string{other.ID, encrypted.ID}) {
		t.Errorf("%+v", left)
	}
}

func parseKeyFile(t *testing.T, text string) ([]keys.Key, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	feed, err := filefeed.New(filefeed.Options{
		Path: path, Resolve: func(string) (string, error) { return "66666666-7777-8888-9999-000000000000", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return feed.Load(t.Context())
}

func TestAudit(t *testing.T) {
	w := newTestServer(t)
	made := w.makeKey()
	w.call("PATCH", "/v1/keys/"+made.ID, `{"name":"Other"}`).want(200)
	w.call("GET", "/v1/export", "").want(200)
	w.call("GET", "/v1/backup", "").want(200)
	type page struct {
		Entries []struct {
			Action string `json:"action"`
		} `json:"entries"`
		Next uint64 `json:"next_cursor"`
	}
	var actions []string
	for before := ""; ; {
		response := w.call("GET", "/v1/audit?limit=2"+before, "").want(200)
		if strings.Contains(response.Body, made.Token) {
			t.Error("a token is in the trail")
		}
		got := decoded[page](response)
		for _, e := range got.Entries {
			actions = append(actions, e.Action)
		}
		if got.Next == 0 {
			break
		}
		before = fmt.Sprintf("&cursor=%d", got.Next)
	}
	if want := []string{"backed_up", "exported", "changed", "created"}; !slices.Equal(actions, want) {
		t.Errorf("%v, want %v", actions, want)
	}
	if n := strings.Count(w.call("GET", "/v1/audit?key="+made.ID, "").want(200).Body, `"seq"`); n != 2 {
		t.Errorf("%d entries of the key", n)
	}
	w.call("GET", "/v1/audit?cursor=0", "").problem(http.StatusBadRequest, "invalid_parameter")
}

func TestSources(t *testing.T) {
	w := newTestServer(t)
	w.call("GET", "/v1/sources", "").problem(http.StatusNotImplemented, "not_configured")
}

func TestBackup(t *testing.T) {
	w := newTestServer(t)
	w.makeKey()
	got := w.call("GET", "/v1/backup", "").want(http.StatusOK)
	if got.Header.Get("Content-Type") != "application/octet-stream" || !strings.Contains(got.Body, "Docs site widget") ||
		got.Header.Get("Content-Disposition") != "attachment; filename=keys.db" {
		t.Errorf("%v %.100s", got.Header, got.Body)
	}
}
