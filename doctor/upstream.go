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

// target returns the upstream as the gate connects to it.
func (u *Upstream) target() *target {
	a := u.Address
	if a.Socket != "" {
		return newTarget(a.URL.String(), u.TLS, "unix", a.Socket)
	}
	return newTarget(a.URL.String(), u.TLS)
}

// String returns the upstream's address without its scheme.
func (u *Upstream) String() string {
	if u.Address.Socket != "" {
		return u.Address.Socket
	}
	return u.Address.URL.Host + u.Address.URL.Path
}

// upstreams returns the upstreams of all gates without duplicates.
func (x *runner) upstreams() []Upstream {
	var all []Upstream
	for _, g := range x.input.Gates {
		for _, u := range g.Upstreams {
			if !slices.ContainsFunc(all, func(v Upstream) bool { return v.String() == u.String() && v.Backend == u.Backend }) {
				all = append(all, u)
			}
		}
	}
	return all
}

// checkDocsGPT checks that DocsGPT answers, in the configured version, and requires authentication.
func (x *runner) checkDocsGPT(ctx context.Context) {
	for _, g := range x.input.Gates {
		if len(g.Upstreams) == 0 {
			x.unknown("docsgpt.reachable",
				fmt.Sprintf("The address of the DocsGPT behind %s is not in the configuration.", g.String()),
				"Set it on the docsgate line, or in the reverse_proxy after it.")
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
		if a, healthErr := t.send(ctx, x.agent, request{method: http.MethodGet, path: "/api/health"}); healthErr != nil {
			x.fail("docsgpt.reachable", fmt.Sprintf("DocsGPT does not answer at %s: %v.", &u, healthErr),
				"Start DocsGPT, or correct the address on the docsgate line; inside a container, localhost is the container itself.")
			return
		} else if a.status != http.StatusOK {
			x.fail("docsgpt.reachable", fmt.Sprintf("The server at %s is not DocsGPT: %v.", &u, err),
				"Set the address on the docsgate line to DocsGPT's API (port 7091), not to its web app.")
			return
		}
		x.unknown("docsgpt.version", fmt.Sprintf("The version of the DocsGPT at %s is unknown: %v.", &u, err),
			"Set the version in the docsgate options, such as \"docsgpt_version 1.1\".")
	} else {
		x.compareVersion(u, found)
	}
	x.ok("docsgpt.reachable", fmt.Sprintf("DocsGPT answers at %s.", &u))
	x.checkPlaintext(u)
	x.checkOpen(ctx, u, t)
}

func (x *runner) compareVersion(u Upstream, found docsgpt.Detection) {
	configured := x.input.backend(u).Version
	if configured == docsgpt.Auto {
		x.ok("docsgpt.version",
			fmt.Sprintf("The DocsGPT at %s is version %s, which the gate detects automatically.", &u, found))
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
		fmt.Sprintf("Set \"docsgpt_version %s\" or \"docsgpt_version auto\" in the docsgate options.", found.Version.Name))
}

// checkPlaintext checks that the connection to a DocsGPT on a public network is encrypted, and its certificate verified.
func (x *runner) checkPlaintext(u Upstream) {
	a := u.Address
	switch {
	case a.Socket != "":
	case a.URL.Scheme == "http" && publicHost(a.URL.Hostname()):
		x.warn("docsgpt.plaintext",
			fmt.Sprintf("The gate connects to the DocsGPT at %s over plain HTTP, so DocsGPT keys are sent unencrypted.", &u),
			"Use an https address, or a private network.")
	case u.TLS != nil && u.TLS.InsecureSkipVerify:
		x.warn("docsgpt.plaintext",
			fmt.Sprintf("The certificate of the DocsGPT at %s is not verified, so an attacker on the network path can read DocsGPT keys.", &u),
			"Replace tls_insecure_skip_verify with a tls_trust_pool that has its certificate authority.")
	}
}

// checkOpen checks whether DocsGPT treats requests without a credential as its owner's. It only reads. The paths exist since 0.14
// and 0.17; older versions have no authentication.
func (x *runner) checkOpen(ctx context.Context, u Upstream, t *target) {
	open := Tristate(0)
	a, err := t.send(ctx, x.agent, request{method: http.MethodGet, path: "/api/config"})
	var config struct {
		Requires *bool `json:"requires_auth"`
	}
	if err == nil && a.status == http.StatusOK && json.Unmarshal(a.body, &config) == nil && config.Requires != nil {
		open = KnownBool(!*config.Requires)
	} else if a, err = t.send(ctx, x.agent, request{method: http.MethodGet, path: "/api/get_conversations"}); err == nil {
		switch a.status {
		case http.StatusOK:
			open = Yes
		case http.StatusUnauthorized, http.StatusForbidden:
			open = No
		}
	}
	x.unauthenticated = max(x.unauthenticated, open)
	switch open {
	case Yes:
		x.warn("docsgpt.unauthenticated",
			fmt.Sprintf("The DocsGPT at %s does not require authentication (AUTH_TYPE is unset): any client that reaches its port has "+
				"access to every source, key and setting.", &u),
			"Set AUTH_TYPE in DocsGPT, or make sure that only the gate can reach its port.")
	case No:
		x.ok("docsgpt.unauthenticated", fmt.Sprintf("The DocsGPT at %s requires a login or a key.", &u))
	default:
		x.unknown("docsgpt.unauthenticated",
			fmt.Sprintf("Whether the DocsGPT at %s requires authentication is unknown.", &u),
			"Check that AUTH_TYPE is set in its environment.")
	}
}

// publicHost reports whether a host may be on the public internet: a public IP address, or a name that is not reserved for private
// use.
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
