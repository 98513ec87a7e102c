package auth

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// checkLoopback says why a request cannot be trusted to come from this machine, and from somebody who means it; nil if it can.
func (g *Authenticator) checkLoopback(r *http.Request) *rejection {
	// What a proxy passes on comes from this machine, too, wherever the client is. Not all proxies say so: nginx adds no
	// header by itself, but spoke HTTP/1.0 for decades, which no browser does.
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
		return nil // no browser can be led here, so that the name does not matter
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

// isForwardingHeader tells whether a header is one that proxies add.
func isForwardingHeader(name string) bool {
	switch name {
	case "Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip":
		return true
	default:
		return strings.HasPrefix(name, "X-Forwarded-")
	}
}

// isAllowedHost tells whether a name can only mean this machine, or is one of Hosts. Of any other name a stranger may say that it
// is this machine (DNS rebinding).
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
