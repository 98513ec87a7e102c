package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// headers are those of an answer to a request that named an origin.
type headers struct {
	request string
	status  int
	header  http.Header
}

const corsMend = "Let the gate alone write CORS headers: remove those that another server, or a header directive in Caddy, " +
	"adds or takes away."

// checkCORS tells whether browsers let a page read what it gets. The headers are those of all answers so far.
func (x *runner) checkCORS(ctx context.Context) {
	if x.outside == nil {
		return
	}
	for _, p := range x.openProbes() {
		x.preflight(ctx, p.path)
	}
	bad := false
	for _, h := range x.heads {
		if strings.HasPrefix(h.request, "GET ") && x.gate != nil && x.gate.Conditional {
			continue
		}
		if fault := allowFault(h.header, x.origin); fault != "" {
			bad = true
			x.fail("cors.answers", fmt.Sprintf("The answer to %s (status %d) %s.", h.request, h.status, fault), corsMend)
			break // one of them says it
		}
	}
	if !bad && len(x.heads) > 0 {
		x.ok("cors.answers", "Pages can read all of "+number(len(x.heads), "answer")+", refusals among them.")
	}
}

// allowFault says what is wrong with who may read an answer; empty: nothing.
func allowFault(h http.Header, origin string) string {
	values := h.Values("Access-Control-Allow-Origin")
	switch {
	case len(values) == 0:
		return "has no Access-Control-Allow-Origin, so browsers keep it from the page"
	case len(values) > 1 || strings.Contains(values[0], ","):
		return "has Access-Control-Allow-Origin more than once, so browsers keep it from the page"
	case values[0] == "*" && h.Get("Access-Control-Allow-Credentials") == "true":
		return "allows credentials from every origin, which browsers refuse"
	case values[0] != "*" && values[0] != origin:
		return "allows only another origin than the one that asked"
	}
	return ""
}

func (x *runner) preflight(ctx context.Context, path string) {
	a, err := x.outside.send(ctx, x.agent, request{method: http.MethodOptions, path: path, header: http.Header{
		"Origin": {x.origin}, "Access-Control-Request-Method": {"POST"},
		"Access-Control-Request-Headers": {"authorization,content-type"},
	}})
	if err != nil {
		return
	}
	fault := allowFault(a.header, x.origin)
	switch {
	case a.status == http.StatusNotFound && (x.gate == nil || len(x.gate.Endpoints) == 0):
		return // not open
	case a.status < 200 || a.status > 299:
		fault = fmt.Sprintf("has status %d, so browsers never send the question", a.status)
	case fault != "":
	case !lists(a.header, "Access-Control-Allow-Headers", "content-type"):
		fault = "does not allow the header Content-Type, so browsers never send the question"
	case !lists(a.header, "Access-Control-Allow-Headers", "authorization"):
		fault = "does not allow the header Authorization, so browsers never send the question of an OpenAI client"
	case !lists(a.header, "Access-Control-Allow-Methods", "post"):
		fault = "does not allow POST, so browsers never send the question"
	}
	if fault != "" {
		x.fail("cors.preflight", fmt.Sprintf("The answer to a browser's preflight on %s %s.", path, fault), corsMend)
		return
	}
	x.ok("cors.preflight", fmt.Sprintf("A browser's preflight on %s is answered.", path))
}

// lists tells whether a header names a value. A star names all but Authorization.
func lists(h http.Header, name, value string) bool {
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			part = strings.TrimSpace(part)
			if strings.EqualFold(part, value) || part == "*" && value != "authorization" {
				return true
			}
		}
	}
	return false
}
