package mongofeed

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// connectionOf returns how the connections to the servers of an address are protected. Servers from DNS (srv) use TLS by default, and
// are treated as other machines.
func connectionOf(cs *connstring.ConnString, srv bool) docsgptkeys.Connection {
	c := docsgptkeys.Connection{Transport: docsgptkeys.Local}
	encrypted := cs.SSL || srv && !cs.SSLSet
	for _, at := range cs.Hosts {
		host := hostOf(at)
		if !srv && docsgptkeys.IsLocal(host) {
			continue
		}
		c.Hosts = append(c.Hosts, host)
		switch {
		case !encrypted:
			c.Transport = docsgptkeys.Plaintext
		case cs.SSLInsecure:
			c.Transport = docsgptkeys.Unverified
		default:
			c.Transport = docsgptkeys.Verified
		}
	}
	return c
}

// hostOf returns an address without its port.
func hostOf(at string) string {
	if host, _, err := net.SplitHostPort(at); err == nil {
		return host
	}
	return at
}

func errPlaintext(host string) error {
	return fmt.Errorf("the address of DocsGPT's database does not enable TLS, and %s is another machine, so an attacker in between could "+
		"read all keys: enable TLS in the server and add tls=true to the address (and tlsCAFile=/path/to/ca.pem, unless a public "+
		"authority has signed its certificate); or, if no attacker can be in between, for example in the network of a compose file, set "+
		"%s in the feed's block", host, docsgptkeys.AllowPlaintext)
}

// localDialer connects only to servers on this machine. The address contains no others, but the driver would also connect to the
// addresses that the members of a replica set announce.
type localDialer struct {
	dialer      net.Dialer
	blockedHost atomic.Pointer[string] // a host that was not connected; nil: there is none
}

var _ options.ContextDialer = (*localDialer)(nil)

// DialContext implements options.ContextDialer.
func (d *localDialer) DialContext(ctx context.Context, network, at string) (net.Conn, error) {
	if host := hostOf(at); network != "unix" && !docsgptkeys.IsLocal(host) {
		d.blockedHost.Store(&host)
		return nil, &plaintextMemberError{host}
	}
	return d.dialer.DialContext(ctx, network, at)
}

// plaintextMemberError is a server of a replica set that would have to be connected with in plaintext.
type plaintextMemberError struct{ host string }

// Error implements error.
func (e *plaintextMemberError) Error() string {
	return fmt.Sprintf("DocsGPT's database is a replica set with members at addresses other than the configured one (%s), and without "+
		"TLS the gate only connects to this machine: add tls=true or directConnection=true to the address; or, if no attacker "+
		"can be in between, set %s in the feed's block", e.host, docsgptkeys.AllowPlaintext)
}
