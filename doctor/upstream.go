package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/docsgpt"
)

// target is the upstream as the gate reaches it.
func (u *Upstream) target() *target {
	a := u.Address
	if a.Socket != "" {
		return newTarget(a.URL.String(), u.TLS, "unix", a.Socket)
	}
	return newTarget(a.URL.String(), u.TLS)
}

// String is the upstream's address, for people.
func (u *Upstream) String() string {
	if u.Address.Socket != "" {
		return u.Address.Socket
	}
	return u.Address.URL.Host + u.Address.URL.Path
}

// upstreams are those of all gates, each once.
func (x *runner) upstreams() []Upstream {
	var all []Upstream
	for _, g := range x.facts.Gates {
		for _, u := range g.Upstreams {
			if !slices.ContainsFunc(all, func(v Upstream) bool { return v.String() == u.String() }) {
				all = append(all, u)
			}
		}
	}
	return all
}

// checkDocsGPT tells whether DocsGPT answers, which version it is, and whom it takes for its owner.
func (x *runner) checkDocsGPT(ctx context.Context) {
	for _, g := range x.facts.Gates {
		if len(g.Upstreams) == 0 {
			x.unknown("docsgpt.reachable",
				fmt.Sprintf("The configuration does not tell where the DocsGPT behind %s is.", g.String()),
				"Name it on the docsgate line, or in the reverse_proxy that follows.")
		}
	}
	for _, u := range x.upstreams() {
		x.checkUpstream(ctx, u)
	}
}

func (x *runner) checkUpstream(ctx context.Context, u Upstream) {
	t := u.target()
	found, err := docsgpt.Detect(func(path string) (int, []byte, error) {
		a, err := t.send(ctx, x.agent, request{method: http.MethodGet, path: path})
		if a == nil {
			return 0, nil, err
		}
		return a.status, a.body, err
	})
	if err != nil {
		if a, away := t.send(ctx, x.agent, request{method: http.MethodGet, path: "/api/health"}); away != nil {
			x.fail("docsgpt.reachable", fmt.Sprintf("DocsGPT does not answer at %s: %v.", &u, away),
				"Start it, or correct the address on the docsgate line; inside a container \"localhost\" is the container itself.")
			return
		} else if a.status != http.StatusOK {
			x.fail("docsgpt.reachable", fmt.Sprintf("What answers at %s is no DocsGPT: %v.", &u, err),
				"Correct the address on the docsgate line: it is DocsGPT's API (port 7091), not its web app.")
			return
		}
		x.unknown("docsgpt.version", fmt.Sprintf("The DocsGPT at %s does not tell its version: %v.", &u, err),
			"Name the version in the docsgate options, such as: docsgpt_version 1.1")
	} else {
		x.compareVersion(u, found)
	}
	x.ok("docsgpt.reachable", fmt.Sprintf("DocsGPT answers at %s.", &u))
	x.checkPlaintext(u)
	x.checkOpen(ctx, u, t)
}

func (x *runner) compareVersion(u Upstream, found docsgpt.Detection) {
	configured := x.facts.Version
	if configured == docsgpt.Auto {
		x.ok("docsgpt.version",
			fmt.Sprintf("The DocsGPT at %s is version %s, and the gate finds that out by itself.", &u, found))
		return
	}
	v, err := docsgpt.FindVersion(configured)
	if err != nil {
		return // the configuration does not load
	}
	if v.Name == found.Version.Name || slices.Contains(found.Ambiguous, v.Name) {
		x.ok("docsgpt.version", fmt.Sprintf("The DocsGPT at %s is version %s, as configured.", &u, found))
		return
	}
	x.fail("docsgpt.version",
		fmt.Sprintf("The DocsGPT at %s is version %s, but the gate is configured for %s.", &u, found, v.Name),
		fmt.Sprintf("Write \"docsgpt %s\" or \"docsgpt_version auto\" into the docsgate options.", found.Version.Name))
}

// checkPlaintext tells whether others can read what the gate sends to DocsGPT.
func (x *runner) checkPlaintext(u Upstream) {
	a := u.Address
	switch {
	case a.Socket != "":
	case a.URL.Scheme == "http" && publicHost(a.URL.Hostname()):
		x.warn("docsgpt.plaintext",
			fmt.Sprintf("The gate speaks with the DocsGPT at %s over plain http, and its keys go along.", &u),
			"Use an https address, or a private network.")
	case u.TLS != nil && u.TLS.InsecureSkipVerify:
		x.warn("docsgpt.plaintext",
			fmt.Sprintf("The certificate of the DocsGPT at %s is not checked, so whoever is between can read its keys.", &u),
			"Name its authority with tls_trust_pool in place of tls_insecure_skip_verify.")
	}
}

// checkOpen tells whether DocsGPT takes requests without a credential for its owner's. It reads only; the paths exist
// since 0.14 and 0.17, and before nobody was asked for anything.
func (x *runner) checkOpen(ctx context.Context, u Upstream, t *target) {
	open := Tristate(0)
	a, err := t.send(ctx, x.agent, request{method: http.MethodGet, path: "/api/config"})
	var said struct {
		Requires *bool `json:"requires_auth"`
	}
	if err == nil && a.status == http.StatusOK && json.Unmarshal(a.body, &said) == nil && said.Requires != nil {
		open = KnownBool(!*said.Requires)
	} else if a, err = t.send(ctx, x.agent, request{method: http.MethodGet, path: "/api/get_conversations"}); err == nil {
		switch a.status {
		case http.StatusOK:
			open = Yes
		case http.StatusUnauthorized, http.StatusForbidden:
			open = No
		}
	}
	x.open = max(x.open, open)
	switch open {
	case Yes:
		x.warn("docsgpt.unauthenticated",
			fmt.Sprintf("The DocsGPT at %s has AUTH_TYPE unset: whoever reaches its port is its owner, with "+
				"every source, key and setting.", &u),
			"Set AUTH_TYPE in DocsGPT, or make sure that only the gate reaches that port.")
	case No:
		x.ok("docsgpt.unauthenticated", fmt.Sprintf("The DocsGPT at %s asks for a login or a key.", &u))
	default:
		x.unknown("docsgpt.unauthenticated",
			fmt.Sprintf("It could not be told whether the DocsGPT at %s takes everybody for its owner.", &u),
			"See that AUTH_TYPE is set in its environment.")
	}
}

// publicHost tells whether a host may be reached over the internet: a public IP address, or a name that is not one of
// those for private use.
func publicHost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return !ip.IsLoopback() && !ip.IsPrivate() && !ip.IsLinkLocalUnicast() && !ip.IsUnspecified()
	}
	if !strings.Contains(host, ".") {
		return false
	}
	for _, end := range []string{"localhost", "local", "internal", "lan", "home", "intranet", "test", "invalid", "home.arpa"} {
		if strings.HasSuffix(host, "."+end) {
			return false
		}
	}
	return true
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
