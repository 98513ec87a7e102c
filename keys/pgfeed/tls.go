package pgfeed

import (
	"crypto/tls"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// secure makes a configuration protect the connections with other machines, and tells how they are protected then. Those with
// this machine stay as they are. With plaintext nothing is changed.
//
// It judges what the library has made of the address, the environment and a service file, each host by itself, and not
// their texts: the attempts to connect, in their order, each with TLS or without. A mode that leaves it to the server whether
// there is TLS (prefer, which is the library's default, and allow) has an attempt of both kinds, and means that somebody
// between the two can choose plaintext. There only TLS is left, with the server's certificate verified, host name included.
func secure(config *pgconn.Config, plaintext bool) (docsgptkeys.Connection, error) {
	attempts := slices.Concat([]*pgconn.FallbackConfig{{
		Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig,
	}}, config.Fallbacks)
	connection := docsgptkeys.Connection{Transport: docsgptkeys.Local}
	var kept []*pgconn.FallbackConfig
	for _, a := range attempts {
		if docsgptkeys.IsLocal(a.Host) {
			kept = append(kept, a)
			continue
		}
		with, without := kinds(attempts, a)
		switch {
		case plaintext:
		case !with:
			return connection, errDisabled(a.Host)
		case a.TLSConfig == nil:
			continue
		case without || config.SSLNegotiation == "direct": // the library makes require of the default there
			a = &pgconn.FallbackConfig{Host: a.Host, Port: a.Port, TLSConfig: verified(a.TLSConfig, a.Host)}
		}
		kept = append(kept, a)
		connection.Transport = connection.Transport.Worst(transport(a.TLSConfig))
		if !slices.Contains(connection.Hosts, a.Host) {
			connection.Hosts = append(connection.Hosts, a.Host)
		}
	}
	config.Host, config.Port, config.TLSConfig = kept[0].Host, kept[0].Port, kept[0].TLSConfig
	config.Fallbacks = kept[1:]
	return connection, nil
}

// kinds reports whether the server of an attempt is tried with TLS, and without.
func kinds(attempts []*pgconn.FallbackConfig, of *pgconn.FallbackConfig) (with, without bool) {
	for _, a := range attempts {
		if a.Host == of.Host && a.Port == of.Port {
			with, without = with || a.TLSConfig != nil, without || a.TLSConfig == nil
		}
	}
	return with, without
}

// verified is what the library makes of sslmode=verify-full. Without sslrootcert the authorities are the system's.
func verified(c *tls.Config, host string) *tls.Config {
	c = c.Clone()
	c.InsecureSkipVerify, c.VerifyPeerCertificate, c.ServerName = false, nil, host
	return c
}

// transport is how an attempt to connect with another machine is protected. What sslmode=verify-ca verifies is worth nothing
// with the system's authorities: they sign a certificate for everybody.
func transport(c *tls.Config) docsgptkeys.Transport {
	switch {
	case c == nil:
		return docsgptkeys.Plaintext
	case !c.InsecureSkipVerify, c.VerifyPeerCertificate != nil && c.RootCAs != nil:
		return docsgptkeys.Verified
	default:
		return docsgptkeys.Unverified
	}
}

func errDisabled(host string) error {
	return fmt.Errorf("the address of DocsGPT's database switches TLS off (sslmode=disable) for %s, which is another machine, so that "+
		"whoever is between could read all keys: take sslmode=disable out of the address, or, if nobody else can be between the two, "+
		"write %s into the feed's block", host, docsgptkeys.AllowPlaintext)
}
