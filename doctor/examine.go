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

// runner runs the checks once, and collects their findings.
type runner struct {
	report
	input Input
	opts  Options

	agent     string  // User-Agent of all requests, different in each run
	origin    string  // Origin of requests to the gate
	gate      *Gate   // the gate that is checked; nil: unknown
	serverKey bool    // Options.Key is a secret key, according to its prefix
	outside   *target // the gate as clients reach it; nil: unknown
	inside    *target // the gate on this machine; nil: unknown
	named     bool    // outside is from Options.URL

	unauthenticated Tristate        // DocsGPT treats requests without a credential as its owner's
	corsResponses   []corsResponse  // of the gate, for checkCORS
	originRejected  bool            // a key must not be used with the Origin of the requests
	toolCalled      bool            // the gate aborted an answer because the model called a tool
	notRouted       map[string]bool // paths of probes that are not routed to the gate
}

// Examine runs, in sequence, all checks for which in and o have enough information. Canceling ctx skips the remaining checks.
func Examine(ctx context.Context, in Input, o Options) *Report {
	if o.Timeout == 0 {
		o.Timeout = 90 * time.Second
	}
	x := &runner{
		input: in, opts: o, agent: "docsgate-doctor/" + rand.Text()[:12], origin: anyOrigin,
		serverKey: strings.HasPrefix(o.Key, "dgs_"),
		report:    report{Report: Report{Findings: []Finding{}}, secrets: []string{o.Key, in.Credential.Token}}, notRouted: map[string]bool{},
	}
	for _, b := range in.Backends {
		x.secrets = append(x.secrets, b.Credential.Token)
	}
	if at, err := url.Parse(o.Page); err == nil && at.Host != "" {
		x.origin = at.Scheme + "://" + at.Host // DocsGPT may allow an agent on certain origins only
	}
	x.findGate()
	for _, check := range []func(context.Context){
		x.checkConfig, x.checkShared, x.checkBackends, x.checkDocsGPT, x.checkExposure, x.checkBypass, x.checkKeys, x.checkExclusions, x.checkKinds,
		x.checkUnlimited, x.checkVisitorLimits, x.checkDatabases, x.checkPrivileges, x.checkSharedLimits, x.checkFiles, x.checkTokenUsage, x.checkListeners,
		x.checkOtherHosts, x.checkQueue, x.checkTimeouts, x.checkGate, x.checkErrors, x.checkUnauthenticated,
		x.checkAdminPaths, x.checkKey, x.checkStream, x.checkProxies, x.checkCORS, x.checkCanary, x.checkTools, x.checkCancel, x.checkLogs, x.checkAdmin,
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

// areas are the areas of findings, in the order of the report.
var areas = []string{
	"config", "docsgpt", "backend", "feeds", "limits", "gate", "key", "stream", "cors", "errors", "isolation", "log", "admin",
	"console", "tls", "page",
}

func areaOrder(f Finding) int { return slices.Index(areas, f.Area()) }

// findGate sets the gate to check, the one that serves Options.URL if that is set, and how it is reached from inside and outside.
func (x *runner) findGate() {
	host := ""
	if u, err := url.Parse(x.opts.URL); err == nil {
		host = u.Hostname()
	}
	for i := range x.input.Gates {
		g := &x.input.Gates[i]
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
		if u, err := url.Parse(x.outside.base); err == nil && u.Path == "" && x.gate != nil && x.gate.serves(host) {
			x.outside.base += x.gate.Path
		}
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

// local returns the site as reached from this machine, or nil if that is unknown. Its certificate is not verified, because the
// connection does not leave the machine.
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
			&tls.Config{InsecureSkipVerify: true}, network, address) //nolint:gosec // connects to this machine only
	}
	return nil
}

// dialAddress returns the network, address and port to dial for a listener address in Caddy's notation.
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

// ask sends a request to the gate with an Origin, as a page in a browser does, and records the response for checkCORS. With a secret key
// it sends none: the gate would log that the key has leaked.
func (x *runner) ask(ctx context.Context, q request) (*response, error) {
	h := http.Header{}
	if !x.serverKey {
		h.Set("Origin", x.origin)
	}
	for name, values := range q.header {
		h[name] = values
	}
	q.header = h
	a, err := x.outside.send(ctx, x.agent, q)
	if err == nil {
		x.corsResponses = append(x.corsResponses, corsResponse{q.method + " " + q.path, a.status, a.header})
	}
	return a, err
}

// opens reports whether a group of endpoints is open, or may be because the configuration is unknown.
func (x *runner) opens(group string) bool {
	return x.gate == nil || len(x.gate.Endpoints) == 0 || slices.Contains(x.gate.Endpoints, group)
}
