package caddymodule_test

import (
	"fmt"
	"net/http"
	"testing"
)

// With learn_origins the API lists the pages that a key was used on.
func TestLearnOrigins(t *testing.T) {
	for options, want := range map[string]int{"learn_origins": 2, "": 0} {
		i := newStoreTest(t)
		i.start(fmt.Sprintf(forwardModes["built-in"], i.address, options))
		id, token := i.create(`{"name":"Docs","agent":"{env.AGENT_ALPHA}"}`)
		for _, origin := range []string{"https://docs.example.com", "https://docs.example.com", "https://blog.example.com", "https://*.example", ""} {
			if r := i.send(http.MethodPost, "/api/answer", `{"question":"q","api_key":"`+token+`"}`, "Origin", origin); r.status != http.StatusOK {
				t.Fatalf("%s: %d %s", origin, r.status, r.body)
			}
			i.send(http.MethodPost, "/api/answer", `{"question":"q","api_key":"unknown"}`, "Origin", "https://evil.example")
		}
		status, found := i.call(http.MethodGet, "/v1/keys/"+id+"/origins", "")
		list, _ := found["origins"].([]any)
		if status != http.StatusOK || len(list) != want || found["dropped"] != false {
			t.Fatalf("%q: %d %v", options, status, found)
		}
		if want == 0 {
			continue
		}
		if first, _ := list[0].(map[string]any); first["origin"] != "https://docs.example.com" || first["requests"] != 2.0 {
			t.Errorf("%v", first)
		}
	}
}
