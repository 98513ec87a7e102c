package doctor

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// probe is an endpoint of the gate, with the format of its error response to an invalid key.
type probe struct {
	path, group, media string
	body               func(key string) any
	header             func(key string) http.Header
	hasFormat          func(errorResponse) bool
}

var probes = []probe{
	{"/stream", "widget", "text/event-stream", nativeBody, nil, func(r errorResponse) bool {
		return r.Type == "error" && r.Error != ""
	}},
	{"/api/answer", "widget", "application/json", nativeBody, nil, func(r errorResponse) bool {
		return r.Error != "" && r.Message != ""
	}},
	{"/v1/chat/completions", "openai", "application/json", openAIBody, bearer, func(r errorResponse) bool {
		return r.Error == "" && r.Message != ""
	}},
}

func nativeBody(key string) any {
	return map[string]any{"question": "Is this key known?", "history": "[]", "api_key": key}
}

func openAIBody(string) any {
	return map[string]any{"model": "docsgpt", "messages": []any{map[string]any{"role": "user", "content": "Is this key known?"}}}
}

func bearer(key string) http.Header { return http.Header{"Authorization": {"Bearer " + key}} }

func (p *probe) request(key string) request {
	q := request{method: http.MethodPost, path: p.path, body: p.body(key)}
	if p.header != nil {
		q.header = p.header(key)
	}
	return q
}

// openProbes are the probes of the groups that may be open, without those whose path is not routed to the gate.
func (x *runner) openProbes() []probe {
	var open []probe
	for _, p := range probes {
		if x.opens(p.group) && !x.notRouted[p.path] {
			open = append(open, p)
		}
	}
	return open
}

// badKey is the code of the error response to an invalid key.
const badKey = "invalid_api_key"

// unservedPath is a path that neither the gate nor DocsGPT serves.
const unservedPath = "/docsgate-doctor-asks-for-nothing"

// randomToken returns a token that is not valid on any gate.
func randomToken() string { return "docsgate-doctor-" + rand.Text() }

// checkGate checks that the gate responds. If not, it clears x.outside, so that the other checks of the gate are skipped.
func (x *runner) checkGate(ctx context.Context) {
	if x.outside == nil {
		switch {
		case x.gate != nil && x.gate.PathUnknown:
			x.unknown("gate.answers", "The site rewrites paths before the gate, so the address at which clients reach it is unknown.",
				"Pass it with --url, with the path, such as --url https://ask.example.com/docs")
		case len(x.input.Gates) > 0 || x.input.Config == "":
			x.unknown("gate.answers",
				"The address at which clients reach the gate is unknown.",
				"Pass it with --url, such as --url https://ask.example.com")
		}
		return
	}
	base := x.outside.base
	var last *response
	found := false
	for _, p := range x.openProbes() {
		a, err := x.outside.send(ctx, x.agent, p.request(randomToken()))
		if err != nil {
			x.noGate(base, err)
			return
		}
		r, ok := a.errorResponse()
		switch {
		case ok && r.Code == "not_ready":
			x.outside = nil
			x.fail("gate.answers",
				"The gate at "+base+" is not ready: its keys are not loaded.", "Find the reason in the gate's log.")
			return
		case ok && r.Code == "rate_limited":
			x.outside = nil
			x.unknown("gate.answers", "The gate at "+base+" rejects unknown keys of this address, since there were too many in the last minute.",
				"Run the doctor again after a minute. \"failed_tokens\" in the limits of the site is the limit.")
			return
		case ok && (r.Code == badKey || r.Code == "not_found"):
			found = true
		case x.gate != nil && x.gate.Conditional && a.status != http.StatusUnauthorized:
			x.notRouted[p.path] = true
		}
		if last == nil || a.status == http.StatusUnauthorized {
			last = a
		}
	}
	if found {
		x.ok("gate.answers", "The gate responds at "+base+".")
		x.noteOtherSites()
		return
	}
	if last != nil && last.status == http.StatusUnauthorized {
		x.note("gate.answers",
			"Invalid keys are rejected at "+base+", but not with the gate's error response.", "See the findings about errors.")
		return
	}
	status, fix := "no response", "Point the DNS record of the host to Caddy, and look for a server in front of the gate that responds itself."
	if last != nil {
		status = fmt.Sprintf("status %d and %s", last.status, last.media())
		if last.status == http.StatusOK && len(last.body) == 0 {
			status = "status 200 and an empty body"
			fix = "Caddy responds like this if no site has the requested host name: give the gate's site this name, or let the " +
				"server in front pass the original name on in the Host header."
		}
	}
	x.fail("gate.answers",
		fmt.Sprintf("The server at %s does not seem to be the gate: its response to an invalid key is %s.", base, status), fix)
	x.outside = nil
}

// noteOtherSites notes the sites with a gate that are not checked from outside.
func (x *runner) noteOtherSites() {
	var others []Gate
	for _, g := range x.input.Gates {
		if x.gate != nil && g.address() != x.gate.address() {
			others = append(others, g)
		}
	}
	if len(others) > 0 {
		x.note("gate.answers", "Only "+x.gate.String()+" was checked from the clients' side, not "+siteList(others)+".",
			"Check each of the other sites with --url.")
	}
}

// noGate reports why the gate does not respond at all.
func (x *runner) noGate(base string, err error) {
	x.outside = nil
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		x.fail("tls.certificate", fmt.Sprintf("The certificate of %s is not valid: %v.", base, certificate.Err),
			"Let Caddy obtain a certificate automatically: its ports 80 and 443 must be reachable under this name.")
	case x.named:
		x.fail("gate.answers", fmt.Sprintf("The gate does not respond at %s: %v.", base, err),
			"Start the gate, and check DNS and the firewall.")
	default:
		x.unknown("gate.answers",
			fmt.Sprintf("The gate does not respond at %s, its address in the configuration: %v.", base, err),
			"Start the gate, or pass its address with --url.")
	}
}

// checkErrors checks that error responses reach clients unchanged, in the format that each client can show.
func (x *runner) checkErrors(ctx context.Context) {
	if x.outside == nil {
		return
	}
	bad := false
	report := func(q request, a *response, difference string) {
		bad = true
		x.fail("errors.shape",
			fmt.Sprintf("The error response of %s does not reach clients as the gate sends it: status %d, %s, %s.",
				q.path, a.status, a.media(), difference),
			"Let the server in front pass error responses on unchanged; published widgets hang on any other format. Look for handle_errors "+
				"in Caddy, proxy_intercept_errors in nginx, custom error pages in Cloudflare.")
	}
	for _, p := range x.openProbes() {
		q := p.request(randomToken())
		a, err := x.ask(ctx, q)
		if err != nil {
			continue
		}
		r, ok := a.errorResponse()
		switch {
		case ok && r.Code == "not_found" && (x.gate == nil || len(x.gate.Endpoints) == 0):
		case !ok:
			report(q, a, "with another body")
		case a.status != http.StatusUnauthorized:
			report(q, a, "in place of status 401")
		case a.media() != p.media || !p.hasFormat(r):
			report(q, a, "in another format")
		case p.media == "text/event-stream" && !strings.HasPrefix(string(a.body), "data: "):
			report(q, a, "in another format")
		}
	}
	if x.gate == nil || !x.gate.Conditional {
		q := request{method: http.MethodGet, path: unservedPath}
		if a, err := x.ask(ctx, q); err == nil && x.gate != nil {
			if r, ok := a.errorResponse(); !ok || a.status != http.StatusNotFound || r.Code != "not_found" {
				report(q, a, "in place of the gate's status 404")
			}
		}
	}
	if !bad {
		x.ok("errors.shape", "Error responses reach clients unchanged.")
	}
}

// checkUnauthenticated checks that questions without a key are rejected.
func (x *runner) checkUnauthenticated(ctx context.Context) {
	if x.outside == nil {
		return
	}
	asked := 0
	for _, p := range x.openProbes() {
		bodies := []any{p.body("")}
		if p.group == "widget" {
			bodies = []any{
				map[string]any{"question": "Hello?", "history": "[]"},
				map[string]any{"question": "Hello?", "history": "[]", "api_key": nil},
			}
		}
		for _, body := range bodies {
			a, err := x.ask(ctx, request{method: http.MethodPost, path: p.path, body: body, timeout: x.opts.Timeout})
			if err != nil {
				continue
			}
			asked++
			if a.status < 300 {
				x.fail("gate.unauthenticated_access", fmt.Sprintf("A question without a key gets an answer on %s.", p.path),
					"Remove the directive of the site, or the server in front, that handles this path before docsgate.")
			}
		}
	}
	if asked > 0 && x.worst("gate.unauthenticated_access") == "" {
		x.ok("gate.unauthenticated_access", "Questions without a key are rejected.")
	}
}

// adminPaths are read-only paths of DocsGPT that the gate never opens, with a text that their responses contain.
var adminPaths = []adminPath{
	{"/api/get_agents", "[", true},
	{"/api/get_conversations", "[", true},
	{"/api/config", `"requires_auth"`, false},
	{"/swagger.json", `"DocsGPT API"`, false},
}

type adminPath struct {
	path, content string
	owners        bool // only DocsGPT's owner gets this response
}

// matches reports whether a response is DocsGPT's response for the path.
func (c adminPath) matches(a *response) bool {
	return a.status == http.StatusOK && a.media() == "application/json" && strings.Contains(string(a.body), c.content)
}

// checkAdminPaths checks that DocsGPT's administration is not reachable at the gate's address.
func (x *runner) checkAdminPaths(ctx context.Context) {
	if x.outside == nil {
		return
	}
	for _, c := range adminPaths {
		a, err := x.ask(ctx, request{method: http.MethodGet, path: c.path})
		if err != nil {
			continue
		}
		if c.matches(a) {
			x.fail("gate.admin_paths", fmt.Sprintf("DocsGPT's administrative path %s is reachable at the gate's address.", c.path),
				"Remove the directive that forwards it, such as a reverse_proxy next to docsgate; serve DocsGPT's web app on a separate host.")
		}
	}
	if x.worst("gate.admin_paths") == "" {
		x.ok("gate.admin_paths", "DocsGPT's administration is not reachable at the gate's address.")
	}
}

// checkKey checks that the gate accepts the given key.
func (x *runner) checkKey(ctx context.Context) {
	if x.opts.Key == "" || x.outside == nil {
		return
	}
	switch x.probeKey(ctx, x.opts.Key) {
	case Yes:
		x.ok("key.valid", "The gate accepts the key.")
	case No:
		x.fail("key.valid",
			"The gate rejects the key.", "Pass the token of an active key; list the keys with \"docsgate keys list\".")
	default:
		if x.originRejected {
			x.reportRestrictedKey()
			return
		}
		x.unknown("key.valid",
			"Whether the gate accepts the key is unknown.", "See the findings about the gate and its errors.")
	}
}

// probeKey reports whether the gate accepts a key, without a request to DocsGPT: the gate rejects a request that has no question,
// and the code of the error response depends on whether the key is valid.
func (x *runner) probeKey(ctx context.Context, key string) Tristate {
	open := x.openProbes()
	if len(open) == 0 {
		return 0
	}
	q := request{method: http.MethodPost, path: open[0].path, body: map[string]any{"api_key": key}}
	if open[0].header != nil {
		q.body, q.header = map[string]any{"model": "docsgpt"}, open[0].header(key)
	}
	a, err := x.ask(ctx, q)
	if err != nil {
		return 0
	}
	r, ok := a.errorResponse()
	switch {
	case a.status == http.StatusUnauthorized || ok && r.Code == badKey:
		return No
	case ok && (r.Code == "bad_request" || r.Code == "binding_not_supported" || r.Code == "not_configured"):
		return Yes
	case ok && r.Code == "origin_not_allowed":
		x.originRejected = true
	}
	return 0
}

// reportRestrictedKey reports that the policy of the key does not allow the Origin of the doctor's requests.
func (x *runner) reportRestrictedKey() {
	if x.opts.Page == "" {
		x.unknown("key.valid", "The key can only be used on certain pages, and no page is specified.",
			"Specify the address of a page that contains the key with --page.")
		return
	}
	x.fail("key.valid", "The key cannot be used on the page "+x.opts.Page+".",
		"Add "+x.origin+" to the origins of the key: \"docsgate keys update ID --origin\" replaces the list.")
}
