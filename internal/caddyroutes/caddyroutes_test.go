package caddyroutes_test

import (
	"encoding/json"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/internal/caddyroutes"
)

func TestOfJSON(t *testing.T) {
	const route = `{"handle":[{"handler":"vars"}]}`
	named := map[string]*caddyhttp.Route{"r": {}}
	for handler, want := range map[string]struct {
		routes, conditional int
		named               bool
	}{
		`{"handler":"subroute","routes":[` + route + `],"errors":{"routes":[` + route + `]}}`: {routes: 1, conditional: 1},
		`{"handler":"subroute","routes":[` + route + `,` + route + `]}`:                       {routes: 2},
		`{"handler":"invoke","name":"r"}`:                                                     {named: true},
		`{"handler":"invoke","name":"other"}`:                                                 {},
		`{"handler":"intercept","handle_response":[{"routes":[` + route + `]}]}`:              {conditional: 1},
		`{"handler":"reverse_proxy","upstreams":[{"dial":"a:1"}],"handle_response":[{"match":{"status_code":[4]},"routes":[` +
			route + `]},{"routes":[` + route + `]}]}`: {conditional: 2},
		`{"handler":"vars","routes":[` + route + `]}`: {},
		`{"handler":"subroute","routes":7}`:           {},
		`7`:                                           {},
	} {
		got := caddyroutes.OfJSON(json.RawMessage(handler), named)
		if len(got.Routes) != want.routes || len(got.Conditional) != want.conditional || (got.Named != nil) != want.named {
			t.Errorf("%s: %+v", handler, got)
		}
		for _, list := range append(got.Conditional, got.Routes) {
			for _, r := range list {
				if len(r.HandlersRaw) != 1 {
					t.Errorf("%s: %d handlers in a route", handler, len(r.HandlersRaw))
				}
			}
		}
	}
}
