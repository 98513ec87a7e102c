package doctor

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// runner is one examination.
type runner struct {
	report
	facts Input
	opts  Options

	agent   string  // User-Agent of all requests, different each time
	origin  string  // the web page that they claim to come from
	gate    *Gate   // the one that is asked; nil: not known
	outside *target // as clients reach it; nil: not known
	inside  *target // on this machine; nil: not known
	named   bool    // outside was named by the operator

	open       Tristate        // DocsGPT takes everybody for its owner
	heads      []headers       // of the gate's answers, for CORS
	toolCalled bool            // the gate ended an answer for a call of a tool
	elsewhere  map[string]bool // paths of probes that do not come to the gate
}

// Examine runs all checks for which there is enough known, one after the other. Cancelling ctx ends it early.
func Examine(ctx context.Context, f Input, o Options) *Report {
	if o.Timeout == 0 {
		o.Timeout = 90 * time.Second
	}
	x := &runner{
		facts: f, opts: o, agent: "docsgate-doctor/" + rand.Text()[:12], origin: anyOrigin,
		report: report{Report: Report{Findings: []Finding{}}, secrets: []string{o.Key, f.Credential.Token}}, elsewhere: map[string]bool{},
	}
	if at, err := url.Parse(o.Page); err == nil && at.Host != "" {
		x.origin = at.Scheme + "://" + at.Host // DocsGPT may know which pages an agent is for
	}
	x.findGate()
	for _, check := range []func(context.Context){
		x.checkConfig, x.checkDocsGPT, x.checkExposure, x.checkBypass, x.checkKeys, x.checkDatabases, x.checkGate, x.checkErrors, x.checkKeyless,
		x.checkClosed, x.checkKey, x.checkStream, x.checkCORS, x.checkCanary, x.checkTools, x.checkLogs, x.checkAdmin,
		x.checkConsoles, x.checkTLS, x.checkPage,
	} {
		if ctx.Err() != nil {
			break
		}
		check(ctx)
	}
	slices.SortStableFunc(x.Findings, func(a, b Finding) int { return cmp.Compare(areaOrder(a), areaOrder(b)) })
	return &x.Report
}

// areas are the areas of findings, in the order in which they are told.
var areas = []string{
	"config", "docsgpt", "backend", "feeds", "gate", "key", "stream", "cors", "errors", "isolation", "log", "admin",
	"console", "tls", "page",
}

func areaOrder(f Finding) int { return slices.Index(areas, f.Area()) }

// findGate finds the gate that clients reach at the URL, and how it is reached on this machine.
func (x *runner) findGate() {
	host := ""
	if u, err := url.Parse(x.opts.URL); err == nil {
		host = u.Hostname()
	}
	for i := range x.facts.Gates {
		g := &x.facts.Gates[i]
		if x.gate == nil || !x.gate.serves(host) && g.serves(host) {
			x.gate = g
		}
	}
	if x.gate != nil {
		x.inside = x.gate.local()
	}
	x.outside = x.inside
	if x.opts.URL != "" {
		x.outside, x.named = newTarget(x.opts.URL, nil), true
	}
}

func (s *Site) serves(host string) bool {
	for _, h := range s.Hosts {
		if strings.EqualFold(h, host) {
			return true
		}
		if rest, ok := strings.CutPrefix(h, "*"); ok && strings.HasSuffix(strings.ToLower(host), strings.ToLower(rest)) {
			return true
		}
	}
	return len(s.Hosts) == 0
}

// local is the site as this machine reaches it, or nil. Its certificate is not checked there: nothing leaves the machine.
func (s *Site) local() *target {
	host := "127.0.0.1"
	for _, h := range s.Hosts {
		if !strings.ContainsAny(h, "*{") {
			host = h
			break
		}
	}
	scheme := "http"
	if s.TLS == Yes {
		scheme = "https"
	}
	for _, text := range s.Listen {
		network, address, port, ok := dialAddress(text)
		if !ok {
			continue
		}
		authority := host
		if port != "" {
			authority = net.JoinHostPort(host, port)
		}
		return newTarget(scheme+"://"+authority,
			&tls.Config{InsecureSkipVerify: true}, network, address) //nolint:gosec // it goes to this machine only
	}
	return nil
}

// dialAddress is what to connect with for an address that Caddy listens at.
func dialAddress(listen string) (network, address, port string, ok bool) {
	network = "tcp"
	if before, after, found := strings.Cut(listen, "/"); found {
		network, listen = before, after
	}
	if strings.HasPrefix(network, "unix") {
		path, _, _ := strings.Cut(listen, "|")
		return "unix", path, "", network == "unix"
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil || port == "0" || strings.Contains(port, "-") || !strings.HasPrefix(network, "tcp") {
		return "", "", "", false
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "tcp", net.JoinHostPort(host, port), port, true
}

// ask sends a request to the gate as a page in a browser does, and remembers what the answer lets that page read.
func (x *runner) ask(ctx context.Context, q request) (*response, error) {
	h := http.Header{"Origin": {x.origin}}
	for name, values := range q.header {
		h[name] = values
	}
	q.header = h
	a, err := x.outside.send(ctx, x.agent, q)
	if err == nil {
		x.heads = append(x.heads, headers{q.method + " " + q.path, a.status, a.header})
	}
	return a, err
}

// opens tells whether a group of endpoints may be open.
func (x *runner) opens(group string) bool {
	return x.gate == nil || len(x.gate.Endpoints) == 0 || slices.Contains(x.gate.Endpoints, group)
}
