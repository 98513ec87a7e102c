package caddymodule_test

import (
	"fmt"
	"net/http"
	"testing"
)

// The API finds a rejected request by the ID in its response, and counts those of a key.
func TestRejectionsInAPI(t *testing.T) {
	i := newStoreTest(t)
	i.start(fmt.Sprintf(forwardModes["built-in"], i.address, "limits {\nquestion_chars 5\n}"))
	id, token := i.create(`{"name":"Docs","agent":"{env.AGENT_ALPHA}"}`)
	tooLong := i.ask("/stream", token, "a long question", "")
	unknown := i.ask("/api/answer", "unknown", "q", "")
	if r := i.ask("/api/answer", token, "q", ""); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for name, c := range map[string]struct {
		response              response
		key, endpoint, reason string
	}{
		"with a key":    {tooLong, id, "stream", "question_too_long"},
		"without a key": {unknown, "", "answer", "unknown_token"},
	} {
		status, found := i.call(http.MethodGet, "/v1/rejections?request_id="+c.response.header.Get("X-Request-Id"), "")
		list, _ := found["rejections"].([]any)
		if status != http.StatusOK || len(list) != 1 {
			t.Errorf("%s: %d %v", name, status, found)
			continue
		}
		got, _ := list[0].(map[string]any)
		if key, _ := got["key"].(string); key != c.key || got["endpoint"] != c.endpoint || got["reason"] != c.reason {
			t.Errorf("%s: %v", name, got)
		}
	}
	_, key := i.call(http.MethodGet, "/v1/keys/"+id, "")
	counts, _ := key["rejections"].([]any)
	if len(counts) != 1 {
		t.Fatalf("rejections of the key: %v", key["rejections"])
	}
	if c, _ := counts[0].(map[string]any); c["reason"] != "question_too_long" || c["requests"] != 1.0 {
		t.Errorf("%v", c)
	}
}
