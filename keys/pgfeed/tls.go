package pgfeed

import (
	"crypto/tls"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// secure modifies a configuration so that connections to other machines are protected, and returns how they are protected.
// Connections to this machine are not changed. If plaintext is set, nothing is changed.
//
// It examines what pgx has parsed from the address, the environment and a service file: a list of connection attempts, each with or
// without TLS. A mode in which the server decides about TLS (prefer, the default of pgx, and allow) results in attempts of both kinds,
// so an attacker in between can choose plaintext. In that case only the attempts with TLS are kept, and the certificate is verified,
// including the host name.
func secure(config *pgconn.Config, database string, plaintext bool) (docsgptkeys.Connection, error) {
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
			return connection, errDisabled(database, a.Host)
		case a.TLSConfig == nil:
			continue
		case without || config.SSLNegotiation == "direct": // pgx changes the default to require there
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

// verified returns the configuration of sslmode=verify-full. Without sslrootcert the system's authorities are trusted.
func verified(c *tls.Config, host string) *tls.Config {
	c = c.Clone()
	c.InsecureSkipVerify, c.VerifyPeerCertificate, c.ServerName = false, nil, host
	return c
}

// transport returns how an attempt to connect to another machine is protected. sslmode=verify-ca is not a protection with the system's
// authorities, because anyone can get a certificate from them.
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

func errDisabled(database, host string) error {
	return fmt.Errorf("the address of %s disables TLS (sslmode=disable) for %s, which is another machine, so an attacker "+
		"in between could read all keys: remove sslmode=disable from the address, or, if no attacker can be in between, "+
		"set %s in the feed's block", database, host, docsgptkeys.AllowPlaintext)
}
