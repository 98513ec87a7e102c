package auth

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// checkLoopback rejects requests that do not verifiably come from this machine, and those for an unknown host name.
func (g *Authenticator) checkLoopback(r *http.Request) *rejection {
	// Requests through a local proxy come from this machine, too, wherever the client is. Not all proxies add a header: nginx
	// adds none by default, but it used HTTP/1.0 for decades, which no browser does.
	if r.ProtoMajor == 1 && r.ProtoMinor == 0 {
		return errProxied
	}
	for name := range r.Header {
		if isForwardingHeader(name) {
			return errProxied
		}
	}
	switch local := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.UnixAddr:
		return nil // a browser cannot connect to a unix socket, so the host name does not matter
	case net.Addr:
		here, err := netip.ParseAddrPort(local.String())
		there, ok := remoteIP(r)
		if err != nil || !ok || !here.Addr().Unmap().IsLoopback() || !there.IsLoopback() {
			return errNotLoopback
		}
	default:
		return errNotLoopback
	}
	if !g.isAllowedHost(r.Host) {
		return errHostNotAllowed
	}
	return nil
}

// isForwardingHeader reports whether proxies add a header of this name.
func isForwardingHeader(name string) bool {
	switch name {
	case "Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip":
		return true
	default:
		return strings.HasPrefix(name, "X-Forwarded-")
	}
}

// isAllowedHost reports whether a host name always resolves to this machine, or is in Hosts. An attacker can make any other name
// resolve to this machine (DNS rebinding).
func (g *Authenticator) isAllowedHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"), "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") || g.hosts[name] {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Unmap().IsLoopback()
}
