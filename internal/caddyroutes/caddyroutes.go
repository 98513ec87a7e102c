// Package caddyroutes finds the routes that handlers of Caddy contain, so that everything that walks the routes of a server walks
// the same ones.
package caddyroutes

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// Nested are the routes that a handler contains. Routes that are not provisioned have only their raw handlers.
type Nested struct {
	Routes      caddyhttp.RouteList   // for all requests
	Conditional []caddyhttp.RouteList // for requests with an error or with some responses
	Named       *caddyhttp.Route      // for all requests; named routes may invoke themselves and each other
}

// Of returns the routes that a provisioned handler contains, in a server with these named routes. The result is zero for handlers
// without routes.
func Of(handler any, named map[string]*caddyhttp.Route) Nested {
	switch h := handler.(type) {
	case *caddyhttp.Subroute:
		n := Nested{Routes: h.Routes}
		if h.Errors != nil {
			n.Conditional = []caddyhttp.RouteList{h.Errors.Routes}
		}
		return n
	case *caddyhttp.Invoke:
		return Nested{Named: named[h.Name]}
	case *intercept.Intercept:
		return Nested{Conditional: responses(h.HandleResponse)}
	case *reverseproxy.Handler:
		return Nested{Conditional: responses(h.HandleResponse)}
	}
	return Nested{}
}

// OfJSON is like Of, for the JSON of a handler. The result is also zero if the JSON is invalid.
func OfJSON(handler json.RawMessage, named map[string]*caddyhttp.Route) Nested {
	var module struct {
		Name string `json:"handler"`
	}
	if json.Unmarshal(handler, &module) != nil {
		return Nested{}
	}
	var h any
	switch module.Name {
	case "subroute":
		h = new(caddyhttp.Subroute)
	case "invoke":
		h = new(caddyhttp.Invoke)
	case "intercept":
		h = new(intercept.Intercept)
	case "reverse_proxy":
		h = new(reverseproxy.Handler)
	}
	if h == nil || json.Unmarshal(handler, h) != nil {
		return Nested{}
	}
	return Of(h, named)
}

func responses(handlers []caddyhttp.ResponseHandler) []caddyhttp.RouteList {
	lists := make([]caddyhttp.RouteList, len(handlers))
	for i := range handlers {
		lists[i] = handlers[i].Routes
	}
	return lists
}
