package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// corsResponse is the header of a response to a request with an Origin.
type corsResponse struct {
	request string
	status  int
	header  http.Header
}

const corsFix = "Let only the gate set CORS headers: remove the settings of another server, or the header directives in Caddy, " +
	"that add or delete them."

// originFix is the fix if the gate itself does not allow the page.
const originFix = "Add the origin of the page to the origins of its key."

// rejectsOrigin reports whether a gate does not allow an origin, as opposed to a missing CORS header.
func rejectsOrigin(h http.Header) bool {
	return len(h.Values("Access-Control-Allow-Origin")) == 0 && lists(h, "Vary", "origin")
}

// checkCORS checks that browsers let a page read the responses. It uses the headers of all responses of the previous checks.
func (x *runner) checkCORS(ctx context.Context) {
	if x.outside == nil {
		return
	}
	for _, p := range x.openProbes() {
		x.preflight(ctx, p.path)
	}
	bad, checked := false, 0
	for _, h := range x.corsResponses {
		if strings.HasPrefix(h.request, "GET ") && x.gate != nil && x.gate.Conditional {
			continue
		}
		if x.origin == anyOrigin && rejectsOrigin(h.header) {
			continue // the keys are restricted to pages, which the doctor does not know
		}
		checked++
		if problem := allowProblem(h.header, x.origin); problem != "" {
			bad = true
			fix := corsFix
			if rejectsOrigin(h.header) {
				fix = originFix
			}
			x.fail("cors.answers", fmt.Sprintf("The response to %s (status %d) %s.", h.request, h.status, problem), fix)
			break // one finding is enough
		}
	}
	if !bad && checked > 0 {
		x.ok("cors.answers", "Pages can read all of "+number(checked, "response")+", including error responses.")
	}
}

// allowProblem says why a page of an origin cannot read a response; empty: it can.
func allowProblem(h http.Header, origin string) string {
	values := h.Values("Access-Control-Allow-Origin")
	switch {
	case rejectsOrigin(h):
		return "does not allow the origin " + origin
	case len(values) == 0:
		return "has no Access-Control-Allow-Origin, so browsers block it"
	case len(values) > 1 || strings.Contains(values[0], ","):
		return "has more than one Access-Control-Allow-Origin, so browsers block it"
	case values[0] == "*" && h.Get("Access-Control-Allow-Credentials") == "true":
		return "allows credentials from every origin, so browsers block it"
	case values[0] != "*" && values[0] != origin:
		return "allows only another origin than the one of the request"
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
	problem := allowProblem(a.header, x.origin)
	switch {
	case a.status == http.StatusNotFound && (x.gate == nil || len(x.gate.Endpoints) == 0):
		return // the endpoint is not open
	case a.status < 200 || a.status > 299:
		problem = fmt.Sprintf("has status %d, so browsers do not send the request", a.status)
	case x.origin == anyOrigin && rejectsOrigin(a.header):
		x.unknown("cors.preflight", fmt.Sprintf("The keys are restricted to pages, so the CORS preflight on %s was not checked.", path),
			"Name a page with --page.")
		return
	case problem != "":
	case !lists(a.header, "Access-Control-Allow-Headers", "content-type"):
		problem = "does not allow the header Content-Type, so browsers do not send the request"
	case !lists(a.header, "Access-Control-Allow-Headers", "authorization"):
		problem = "does not allow the header Authorization, so browsers do not send requests of OpenAI clients"
	case !lists(a.header, "Access-Control-Allow-Methods", "post"):
		problem = "does not allow POST, so browsers do not send the request"
	}
	if problem != "" {
		fix := corsFix
		if rejectsOrigin(a.header) {
			fix = originFix
		}
		x.fail("cors.preflight", fmt.Sprintf("The response to a CORS preflight on %s %s.", path, problem), fix)
		return
	}
	x.ok("cors.preflight", fmt.Sprintf("CORS preflights on %s succeed.", path))
}

// lists reports whether a header lists a value. "*" stands for all values but Authorization.
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
