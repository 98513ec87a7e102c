package keyscmd

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/cmd/commands/internal/cmdtest"
)

func TestMissingKeys(t *testing.T) {
	var requests []string
	address := cmdtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, r.Method+" "+r.URL.Path)
		key := func(id string) string {
			return `{"id":"` + id + `","state":"disabled","overrides":["state","limits"],"changed":"2026-01-01T00:00:00Z"}`
		}
		switch {
		case r.Method == http.MethodDelete:
			_, _ = io.WriteString(w, key("agent_1"))
		case r.URL.Query().Get("cursor") == "":
			fmt.Fprintf(w, `{"keys":[%s],"next_cursor":"agent_1","total":2}`, key("agent_1"))
		default:
			fmt.Fprintf(w, `{"keys":[%s],"total":2}`, key("agent_2"))
		}
	})
	out, _, err := runAt(t, missingCommand(), address, "")
	const want = "ID       CHANGED FIELDS  CHANGED\n" +
		"agent_1  state, limits   2026-01-01T00:00:00Z\n" +
		"agent_2  state, limits   2026-01-01T00:00:00Z\n"
	if err != nil || out != want {
		t.Errorf("%v\n%s", err, out)
	}
	requests = nil
	_, notes, err := runAt(t, missingCommand(), address, "--remove agent_1,agent_2")
	if err != nil || notes != "The changes of the key agent_1 are removed.\nThe changes of the key agent_2 are removed.\n" {
		t.Errorf("%v, %s", err, notes)
	}
	if got := strings.Join(requests, "\n"); got != "DELETE /docsgate/v1/missing-keys/agent_1\nDELETE /docsgate/v1/missing-keys/agent_2" {
		t.Errorf("requests:\n%s", got)
	}
}
