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

// connectionOf tells how the servers of an address are reached. Those that the DNS names (srv) have TLS by default, and count
// as other machines.
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

// hostOf takes the port from an address, if there is one.
func hostOf(at string) string {
	if host, _, err := net.SplitHostPort(at); err == nil {
		return host
	}
	return at
}

func errPlaintext(host string) error {
	return fmt.Errorf("the address of DocsGPT's database has no TLS, and %s is another machine, so that whoever is between could read "+
		"all keys: switch TLS on in the server and write tls=true into the address (with tlsCAFile=/path/of/ca.pem, if no public "+
		"authority has signed its certificate); or, if nobody else can be between the two, as in a compose file's own network, write %s "+
		"into the feed's block", host, docsgptkeys.AllowPlaintext)
}

// localDialer connects with servers on this machine only. The address names no others; but servers of a replica set name each
// other, and the library would connect with those too, as they are named.
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
	return fmt.Sprintf("DocsGPT's database is a replica set that names its servers by other names than the address (%s), and without "+
		"TLS the gate connects with this machine only: write tls=true, or directConnection=true, into the address; or, if nobody else "+
		"can be between the two, %s into the feed's block", e.host, docsgptkeys.AllowPlaintext)
}
