// Package transport has the rules for connections to other servers, such as databases: which of them are protected against attackers on
// the network.
package transport

import (
	"net/netip"
	"strings"
)

// Transport is how a connection to a server is protected against attackers on the network. The values are stable.
type Transport string

// The values of Transport, most secure first.
const (
	// Local is a connection that does not leave this machine.
	Local Transport = "local"

	// Verified is TLS with a verified certificate.
	Verified Transport = "verified"

	// Unverified is TLS without verification of the certificate: it only protects against passive attackers.
	Unverified Transport = "unverified"

	// Plaintext is a connection that is not encrypted, or that an attacker can downgrade to plaintext.
	Plaintext Transport = "plaintext"
)

var transports = map[Transport]int{Local: 0, Verified: 1, Unverified: 2, Plaintext: 3}

// Worst returns the less secure one of two.
func (t Transport) Worst(other Transport) Transport {
	if transports[other] > transports[t] {
		return other
	}
	return t
}

// Connection describes the connections to a server, or to several.
type Connection struct {
	Transport Transport // least secure one of all hosts
	Hosts     []string  // hosts other than this machine, without ports
}

// IsLocal reports whether a host is certainly this machine: the directory of a socket, a loopback IP address or "localhost". Other
// names may resolve to another machine later, so they are not local, for example the service names of a compose file and
// host.docker.internal.
func IsLocal(host string) bool {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// AllowPlaintext is the name of the option that allows plaintext connections to other machines, for errors.
const AllowPlaintext = "insecure_plaintext"
