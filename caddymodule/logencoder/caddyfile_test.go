package logencoder

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestCaddyfile(t *testing.T) {
	for text, want := range map[string]string{
		"docsgate":                    `{}`,
		"docsgate {}":                 "wrong argument count",
		"docsgate {\n}":               `{}`,
		"docsgate {\nwrap console\n}": `{"wrap":{"format":"console"}}`,
		"docsgate {\nwrap json {\ntime_format iso8601\n}\nheaders X-Trace Traceparent\npaths /app/\n}": `{"wrap":{"format":"json","time_format":"iso8601"},` +
			`"headers":["X-Trace","Traceparent"],"paths":["/app/"]}`,
		"docsgate console":                         "wrong argument count",
		"docsgate {\nwrap\n}":                      "wrong argument count",
		"docsgate {\nwrap json\nwrap console\n}":   "wrap already specified",
		"docsgate {\nwrap nothing\n}":              "caddy.logging.encoders.nothing",
		"docsgate {\nheaders\n}":                   "wrong argument count",
		"docsgate {\nheaders X-Api-Key\n}":         "the header X-Api-Key are credentials",
		"docsgate {\nheaders X-A authorization\n}": "the header authorization are credentials",
		"docsgate {\npaths\n}":                     "wrong argument count",
		"docsgate {\nfields {\n}\n}":               `unrecognized subdirective "fields": must be one of wrap, headers, paths`,
	} {
		e := new(Encoder)
		err := e.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if err != nil {
			if strings.HasPrefix(want, "{") || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %s", text, err, want)
			}
			continue
		}
		if got, err := json.Marshal(e); err != nil || string(got) != want {
			t.Errorf("%q: got %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestInvalidConfigurations(t *testing.T) {
	for _, config := range []string{`{"headers":["cookie"]}`, `{"paths":["app"]}`, `{"wrap":{"format":"nothing"}}`} {
		e := new(Encoder)
		if err := json.Unmarshal([]byte(config), e); err != nil {
			t.Fatal(err)
		}
		if err := e.Provision(testContext(t)); err == nil {
			t.Errorf("%s is accepted", config)
		}
	}
}
