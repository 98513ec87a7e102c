package cli

import "testing"

func TestExplain(t *testing.T) {
	const route = "loading initial config: loading new config: loading http app module: provision http: server srv0: setting up route handlers: " +
		"route 0: loading handler modules: position 0: loading module 'subroute': provision http.handlers.subroute: setting up subroutes: " +
		"route 0: loading handler modules: position 0: loading module 'docsgate': provision http.handlers.docsgate: loading docsgate app " +
		"module: provision docsgate: "
	for text, want := range map[string]string{
		route + "feed docsgpt: {env.NAME} is empty: the environment variable NAME is not set": "the environment variable NAME is not set",
		route + `feed file:k: k: the file does not exist: create it`:                          "feed file:k: k: the file does not exist: create it",

		"loading initial config: loading new config: http app module: start: listening on :80: listen tcp :80: bind: address already in use": "another process uses the address :80",
		"start: listening on :80: listen tcp :80: bind: permission denied":                                                                   "this user may not listen on :80",
		"reading config from file: open Caddyfile: no such file or directory":                                                                "the file Caddyfile does not exist",

		`sending configuration to instance: performing request: Post "http://localhost:2019/load": dial tcp 127.0.0.1:2019: connect: connection refused`:              "no docsgate accepts commands at localhost:2019",
		`sending configuration to instance: caddy responded with error: HTTP 400: {"error":"loading new config: loading docsgate app module: provision docsgate: x"}`: "x",

		"adapting config using caddyfile: Caddyfile:3: unrecognized directive: x": "Caddyfile:3: unrecognized directive: x",
		"something else": "something else",
	} {
		if got, _ := Explain(text); got != want {
			t.Errorf("%s:\n%s, want %s", text, got, want)
		}
	}
	if _, fix := Explain("listen tcp :80: bind: address already in use"); fix == "" {
		t.Error("no advice")
	}
}
