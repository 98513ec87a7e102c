package sharedlimits

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/docsgate/docsgate/internal/transport"
)

// errAddress does not contain the cause, since any part of a malformed address may be the password.
var errAddress = errors.New("the address must have the form redis://host:6379 or rediss://user:password@host:6379/0 (in user and password " +
	"write @ as %40, : as %3A and / as %2F), with the hosts of a Redis Cluster separated by commas, and the options cluster=true, " +
	"master_name=NAME (Sentinel) and ca_file=PATH")

// Address is a parsed address of Redis or Valkey: of one server, of some servers of a Redis Cluster, or of some Sentinels.
type Address struct {
	Hosts      []string // each with its port
	User       string
	Password   string
	Database   int
	Cluster    bool
	MasterName string      // of Sentinel; empty: the hosts are not Sentinels
	TLS        *tls.Config // nil: plaintext

	// Connection is how the connections are protected.
	Connection transport.Connection
}

// ParseAddress parses an address. With the scheme redis connections are in plaintext, with rediss they use TLS with a verified
// certificate. Plaintext to other machines is an error unless it is allowed. Errors contain nothing of the address but a host.
func ParseAddress(text string, plaintext bool) (Address, error) {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(text), "://")
	secure := strings.EqualFold(scheme, "rediss")
	if !ok || !secure && !strings.EqualFold(scheme, "redis") {
		return Address{}, errAddress
	}
	rest, query, _ := strings.Cut(rest, "?")
	rest, database, _ := strings.Cut(rest, "/")
	a := Address{Connection: transport.Connection{Transport: transport.Local}}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		// A list of hosts is not a valid URL, but its user is.
		u, err := url.Parse("redis://" + rest[:at] + "@host")
		if err != nil || u.Host != "host" {
			return Address{}, errAddress
		}
		a.User = u.User.Username()
		a.Password, _ = u.User.Password()
		rest = rest[at+1:]
	}
	for host := range strings.SplitSeq(rest, ",") {
		if err := a.addHost(host, secure, plaintext); err != nil {
			return Address{}, err
		}
	}
	if database != "" {
		n, err := strconv.ParseUint(database, 10, 16)
		if err != nil {
			return Address{}, errAddress
		}
		a.Database = int(n)
	}
	if err := a.setOptions(query, secure); err != nil {
		return Address{}, err
	}
	return a, nil
}

// addHost adds a host with an optional port.
func (a *Address) addHost(text string, secure, plaintext bool) error {
	u, err := url.Parse("redis://" + text)
	if err != nil || u.Hostname() == "" || u.Host != text || strings.ContainsAny(text, "@#% \t\r\n") {
		return errAddress
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = "6379"
	}
	a.Hosts = append(a.Hosts, net.JoinHostPort(host, port))
	if transport.IsLocal(host) {
		return nil
	}
	protection := transport.Verified
	if !secure {
		if !plaintext {
			return errPlaintext(host)
		}
		protection = transport.Plaintext
	}
	a.Connection.Transport = a.Connection.Transport.Worst(protection)
	if !slices.Contains(a.Connection.Hosts, host) {
		a.Connection.Hosts = append(a.Connection.Hosts, host)
	}
	return nil
}

func errPlaintext(host string) error {
	return fmt.Errorf("the address does not enable TLS, and %s is another machine, so an attacker in between could change all limits: "+
		"enable TLS in the server and use rediss://; or, if no attacker can be in between, for example in the network of a compose "+
		"file, set %s in the block of shared_limits", host, transport.AllowPlaintext)
}

// setOptions sets the options after the question mark.
func (a *Address) setOptions(query string, secure bool) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errAddress
	}
	caFile := ""
	for name, value := range values {
		if len(value) != 1 || value[0] == "" {
			return errAddress
		}
		switch name {
		case "cluster":
			if a.Cluster, err = strconv.ParseBool(value[0]); err != nil {
				return errAddress
			}
		case "master_name":
			a.MasterName = value[0]
		case "ca_file":
			caFile = value[0]
		default:
			return errAddress
		}
	}
	a.Cluster = a.Cluster || len(a.Hosts) > 1 && a.MasterName == ""
	switch {
	case a.Cluster && a.MasterName != "":
		return errors.New("the address has both cluster=true and master_name; use master_name for Sentinel only")
	case a.Cluster && a.Database != 0:
		return errors.New("a Redis Cluster has only database 0: remove the number from the address")
	case caFile != "" && !secure:
		return errors.New("ca_file needs TLS: use rediss://")
	case !secure:
		return nil
	}
	a.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return fmt.Errorf("ca_file: %w", err)
	}
	a.TLS.RootCAs = x509.NewCertPool()
	if !a.TLS.RootCAs.AppendCertsFromPEM(pem) {
		return errors.New("ca_file: the file contains no certificate in PEM format")
	}
	return nil
}
