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

// probe is an endpoint that refuses a bad key in a shape of its own.
type probe struct {
	path, group, media string
	body               func(key string) any
	header             func(key string) http.Header
	shaped             func(refusal) bool
}

var probes = []probe{
	{"/stream", "widget", "text/event-stream", nativeBody, nil, func(r refusal) bool {
		return r.Type == "error" && r.Error != ""
	}},
	{"/api/answer", "widget", "application/json", nativeBody, nil, func(r refusal) bool {
		return r.Error != "" && r.Message != ""
	}},
	{"/v1/chat/completions", "openai", "application/json", openAIBody, bearer, func(r refusal) bool {
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

// openProbes are those of the groups that may be open, without those that do not come to the gate.
func (x *runner) openProbes() []probe {
	var open []probe
	for _, p := range probes {
		if x.opens(p.group) && !x.elsewhere[p.path] {
			open = append(open, p)
		}
	}
	return open
}

// badKey is the code of the refusal of a bad key.
const badKey = "invalid_api_key"

// unservedPath is a path that nobody serves.
const unservedPath = "/docsgate-doctor-asks-for-nothing"

// randomToken is a token that no gate knows.
func randomToken() string { return "docsgate-doctor-" + rand.Text() }

// checkGate tells whether the gate answers. If it does not, nothing else is asked of it.
func (x *runner) checkGate(ctx context.Context) {
	if x.outside == nil {
		if len(x.facts.Gates) > 0 || x.facts.Config == "" {
			x.unknown("gate.answers",
				"It is not known where clients reach the gate.",
				"Name the address with --url, such as --url https://ask.example.com")
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
		r, ok := a.refusal()
		switch {
		case ok && r.Code == "not_ready":
			x.outside = nil
			x.fail("gate.answers",
				"The gate at "+base+" is not ready: its keys are not loaded.", "See its log for the reason.")
			return
		case ok && (r.Code == badKey || r.Code == "not_found"):
			found = true
		case x.gate != nil && x.gate.Conditional && a.status != http.StatusUnauthorized:
			x.elsewhere[p.path] = true
		}
		if last == nil || a.status == http.StatusUnauthorized {
			last = a
		}
	}
	if found {
		x.ok("gate.answers", "The gate answers at "+base+".")
		x.tellOtherSites()
		return
	}
	if last != nil && last.status == http.StatusUnauthorized {
		x.note("gate.answers",
			"Keys are refused at "+base+", but not in the gate's own words.", "See what is found about errors.")
		return
	}
	status, mend := "nothing", "Let the host's name lead to Caddy, and look for another server in between that answers by itself."
	if last != nil {
		status = fmt.Sprintf("status %d and %s", last.status, last.media())
		if last.status == http.StatusOK && len(last.body) == 0 {
			status = "status 200 and nothing else"
			mend = "Caddy answers so where no site has the name that is asked for: give the gate's site this name, or let the " +
				"server in between pass the site's name on in the Host header."
		}
	}
	x.fail("gate.answers",
		fmt.Sprintf("What answers at %s does not seem to be the gate: a made-up key gets %s.", base, status), mend)
	x.outside = nil
}

// tellOtherSites names the sites with a gate that are not asked.
func (x *runner) tellOtherSites() {
	var others []Gate
	for _, g := range x.facts.Gates {
		if x.gate != nil && g.String() != x.gate.String() {
			others = append(others, g)
		}
	}
	if len(others) > 0 {
		x.note("gate.answers", "What clients get to see was examined on "+x.gate.String()+", and not on "+siteList(others)+".",
			"Examine each with --url.")
	}
}

// noGate tells why there is no answer at all.
func (x *runner) noGate(base string, err error) {
	x.outside = nil
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		x.fail("tls.certificate", fmt.Sprintf("The certificate of %s is not valid: %v.", base, certificate.Err),
			"Let Caddy get one by itself: its ports 80 and 443 must be reachable under this name.")
	case x.named:
		x.fail("gate.answers", fmt.Sprintf("Nothing answers at %s: %v.", base, err),
			"Start the gate, and see that the name and the firewall lead to it.")
	default:
		x.unknown("gate.answers",
			fmt.Sprintf("Nothing answers at %s, where the configuration has the gate: %v.", base, err),
			"Start the gate, or name another address with --url.")
	}
}

// checkErrors tells whether refusals reach clients in the shapes that they can show.
func (x *runner) checkErrors(ctx context.Context) {
	if x.outside == nil {
		return
	}
	bad := false
	complain := func(q request, a *response, what string) {
		bad = true
		x.fail("errors.shape",
			fmt.Sprintf("The refusal on %s does not reach clients as the gate wrote it: status %d, %s, %s.",
				q.path, a.status, a.media(), what),
			"Let the server in between pass error answers on as they are; published widgets hang on anything else. In Caddy look for "+
				"handle_errors, in nginx for proxy_intercept_errors, in Cloudflare for custom error pages.")
	}
	for _, p := range x.openProbes() {
		q := p.request(randomToken())
		a, err := x.ask(ctx, q)
		if err != nil {
			continue
		}
		r, ok := a.refusal()
		switch {
		case ok && r.Code == "not_found" && (x.gate == nil || len(x.gate.Endpoints) == 0):
		case !ok:
			complain(q, a, "and the body is another one")
		case a.status != http.StatusUnauthorized:
			complain(q, a, "where 401 is due")
		case a.media() != p.media || !p.shaped(r):
			complain(q, a, "in another form")
		case p.media == "text/event-stream" && !strings.HasPrefix(string(a.body), "data: "):
			complain(q, a, "in another form")
		}
	}
	if x.gate == nil || !x.gate.Conditional {
		q := request{method: http.MethodGet, path: unservedPath}
		if a, err := x.ask(ctx, q); err == nil && x.gate != nil {
			if r, ok := a.refusal(); !ok || a.status != http.StatusNotFound || r.Code != "not_found" {
				complain(q, a, "where the gate says 404")
			}
		}
	}
	if !bad {
		x.ok("errors.shape", "Refusals reach clients as the gate writes them.")
	}
}

// checkKeyless tells whether a request without a key gets an answer.
func (x *runner) checkKeyless(ctx context.Context) {
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
			a, err := x.ask(ctx, request{method: http.MethodPost, path: p.path, body: body, patience: x.opts.Timeout})
			if err != nil {
				continue
			}
			asked++
			if a.status < 300 {
				x.fail("gate.unauthenticated_access", fmt.Sprintf("A question without a key is answered on %s.", p.path),
					"Let docsgate handle this path alone: another directive of the site, or another server, comes before it.")
			}
		}
	}
	if asked > 0 && x.worst("gate.unauthenticated_access") == "" {
		x.ok("gate.unauthenticated_access", "Questions without a key are refused.")
	}
}

// adminPaths are paths of DocsGPT that the gate never opens, and that only read, with what stands in their answers.
var adminPaths = []closedPath{
	{"/api/get_agents", "[", true},
	{"/api/get_conversations", "[", true},
	{"/api/config", `"requires_auth"`, false},
	{"/swagger.json", `"DocsGPT API"`, false},
}

type closedPath struct {
	path, mark string
	owners     bool // only its owner gets this answer
}

// isIn tells whether an answer is DocsGPT's.
func (c closedPath) isIn(a *response) bool {
	return a.status == http.StatusOK && a.media() == "application/json" && strings.Contains(string(a.body), c.mark)
}

// checkClosed tells whether the rest of DocsGPT can be reached at the gate's address.
func (x *runner) checkClosed(ctx context.Context) {
	if x.outside == nil {
		return
	}
	for _, c := range adminPaths {
		a, err := x.ask(ctx, request{method: http.MethodGet, path: c.path})
		if err != nil {
			continue
		}
		if c.isIn(a) {
			x.fail("gate.admin_paths", fmt.Sprintf("DocsGPT's own %s can be reached at the gate's address.", c.path),
				"Remove what forwards it, such as a reverse_proxy beside docsgate; DocsGPT's web app belongs on a host of its own.")
		}
	}
	if x.worst("gate.admin_paths") == "" {
		x.ok("gate.admin_paths", "DocsGPT's own administration cannot be reached at the gate's address.")
	}
}

// checkKey tells whether the gate knows the key that was given.
func (x *runner) checkKey(ctx context.Context) {
	if x.opts.Key == "" || x.outside == nil {
		return
	}
	switch x.probeKey(ctx, x.opts.Key) {
	case Yes:
		x.ok("key.valid", "The gate takes the key.")
	case No:
		x.fail("key.valid",
			"The gate refuses the key.", "Give another one; \"docsgate keys list\" shows which are active.")
	default:
		x.unknown("key.valid",
			"It could not be told whether the gate takes the key.", "See what is found about the gate and its errors.")
	}
}

// probeKey asks the gate whether it takes a key, and nothing of DocsGPT: a request without a question is refused by the gate
// itself, with another code once the key is known.
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
	r, ok := a.refusal()
	switch {
	case a.status == http.StatusUnauthorized || ok && r.Code == badKey:
		return No
	case ok && (r.Code == "bad_request" || r.Code == "binding_not_supported" || r.Code == "not_configured"):
		return Yes
	}
	return 0
}
