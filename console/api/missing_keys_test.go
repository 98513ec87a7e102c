package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys/activity"
)

// The changes of keys that no feed has can be listed and removed, but not while a feed is unavailable.
func TestMissingKeys(t *testing.T) {
	w := newTestServer(t)
	const list, path = "/v1/missing-keys", "/v1/missing-keys/agent_1"
	w.call("GET", list, "").problem(http.StatusNotImplemented, "not_running")
	w.call("DELETE", path, "").problem(http.StatusNotImplemented, "not_running")
	w.desk.Activity = activity.New()
	w.adopt()
	w.desk.Store.SetReady(true)
	w.call("PATCH", "/v1/keys/agent_1", `{"kind":"secret"}`).want(http.StatusOK)
	w.call("POST", "/v1/keys/agent_1/disable", "").want(http.StatusOK)
	if got := w.call("GET", list, "").want(http.StatusOK); got.Body != `{"keys":[],"total":0}`+"\n" {
		t.Errorf("while the feed has the key: %s", got.Body)
	}
	w.call("DELETE", path, "").problem(http.StatusConflict, "key_exists")

	w.desk.Store.Remove("docsgpt:test")
	w.desk.Store.SetFeedUnavailable("docsgpt:test", true)
	w.call("GET", list, "").problem(http.StatusServiceUnavailable, "feed_unavailable")
	w.call("DELETE", path, "").problem(http.StatusServiceUnavailable, "feed_unavailable")
	w.desk.Store.SetFeedUnavailable("docsgpt:test", false)

	const want = `"id":"agent_1","state":"disabled","kind":"secret","overrides":["state","kind"],`
	if got := w.call("GET", list, "").want(http.StatusOK); !strings.Contains(got.Body, want) || !strings.Contains(got.Body, `"total":1`) {
		t.Errorf("listed: %s", got.Body)
	}
	if got := w.call("DELETE", path, "").want(http.StatusOK); !strings.Contains(got.Body, want) {
		t.Errorf("removed: %s", got.Body)
	}
	w.call("DELETE", path, "").problem(http.StatusNotFound, "key_not_found")
	if got := w.call("GET", "/v1/audit?key=agent_1", "").want(http.StatusOK); !strings.Contains(got.Body, "removed the changes of a key of another feed: disabled; kind secret") {
		t.Errorf("audit trail: %s", got.Body)
	}
	w.adopt()
	if got := w.call("GET", "/v1/keys/agent_1", "").want(http.StatusOK); got.key().State != "active" || strings.Contains(got.Body, "overrides") {
		t.Errorf("the key returns: %s", got.Body)
	}
}

func TestPagesOfMissingKeys(t *testing.T) {
	w := newTestServer(t)
	w.desk.Activity = activity.New()
	w.desk.Store.SetReady(true)
	for _, id := range []string{"agent_3", "agent_1", "agent_2"} {
		w.adoptAs(id)
		w.call("POST", "/v1/keys/"+id+"/disable", "").want(http.StatusOK)
	}
	w.desk.Store.Remove("docsgpt:test")
	var got []string
	for cursor := ""; ; {
		page := decoded[MissingKeyPage](w.call("GET", "/v1/missing-keys?limit=2"+cursor, "").want(http.StatusOK))
		for _, k := range page.Keys {
			got = append(got, k.ID)
		}
		if page.Next == "" {
			break
		}
		cursor = "&cursor=" + page.Next
	}
	if strings.Join(got, " ") != "agent_1 agent_2 agent_3" {
		t.Errorf("listed %q", got)
	}
}
