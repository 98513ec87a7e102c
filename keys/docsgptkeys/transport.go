package docsgptkeys

import (
	"net/netip"
	"strings"
)

// Transport says how a connection with a database is protected against others on the network. The words are stable.
type Transport string

// The kinds of Transport, the best first.
const (
	// Local is a connection that does not leave this machine.
	Local Transport = "local"

	// Verified is TLS with a certificate that an authority has signed that the gate trusts.
	Verified Transport = "verified"

	// Unverified is TLS with any certificate: it keeps out those who only listen.
	Unverified Transport = "unverified"

	// Plaintext is a connection that is not encrypted, or that may end up so.
	Plaintext Transport = "plaintext"
)

var transports = map[Transport]int{Local: 0, Verified: 1, Unverified: 2, Plaintext: 3}

// Worst returns the one of two that protects less.
func (t Transport) Worst(other Transport) Transport {
	if transports[other] > transports[t] {
		return other
	}
	return t
}

// Connection is how a feed reaches its database.
type Connection struct {
	Transport Transport // the worst of all hosts
	Hosts     []string  // those that are not this machine, without ports
}

// IsLocal reports whether a host of an address is this machine for certain: the folder of a socket, a loopback IP address or
// "localhost". Every other name may lead to another machine, whatever it resolves to now, and so is not local: the service
// names of a compose file, for one, and host.docker.internal.
func IsLocal(host string) bool {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// AllowPlaintext is the option of the feed that allows plaintext connections with other machines, as errors name it.
const AllowPlaintext = "insecure_plaintext"
