package initcmd

import (
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/docsgate/docsgate/upstream"
)

// Places where keys come from, as the Caddyfile names them.
const (
	feedDocsGPT = "docsgpt"
	feedStore   = "store"
)

// uriVariable is the environment variable that has the address of DocsGPT's database.
const uriVariable = "DOCSGPT_POSTGRES_URI"

// checkUpstream returns an address of DocsGPT in the form of a URL without a trailing slash.
func checkUpstream(given string) (string, error) {
	if !plain(given) {
		return "", errors.New("write the address of DocsGPT as http://host:port")
	}
	address, err := upstream.ParseAddress(given)
	if err != nil {
		return "", err
	}
	if address.Socket != "" {
		return "", errors.New("write the address of DocsGPT as http://host:port; a Unix socket can be written into the Caddyfile afterwards")
	}
	return address.URL.String(), nil
}

// site is the address of the gate for clients.
type site struct {
	text string // for the Caddyfile
	url  string // for clients; the URL on this machine if the address has no host
	// host is empty if the site has any host.
	host string
	// bind is the address to listen on if only this machine can be a client, else empty.
	bind string
	// anyName is the same address for any host name, if Caddy would respond to other names with an empty page; else empty.
	anyName string
	// https reports whether Caddy gets a certificate for the site.
	https bool
}

func parseSite(given string) (site, error) {
	invalid := errors.New("write a domain name, such as ask.example.com, or a URL without a path, such as http://localhost:8080")
	if given == "" || !plain(given) {
		return site{}, invalid
	}
	a, err := httpcaddyfile.ParseAddress(given)
	if err != nil || a.Path != "" && a.Path != "/" || a.Host == "" && a.Port == "" ||
		a.Scheme != "" && a.Scheme != "http" && a.Scheme != "https" {
		return site{}, invalid
	}
	if a.Path == "/" {
		given = strings.TrimSuffix(given, "/")
	}
	s := site{text: given, host: a.Host}
	s.https = a.Scheme == "https" || a.Scheme == "" && a.Host != "" && a.Port != "80"
	host, scheme := a.Host, "http"
	if host == "" {
		host = "localhost"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if s.https {
		scheme = "https"
	}
	port := a.Port
	if port == "" {
		port = "80"
	}
	switch {
	case isLocalhost(a.Host):
		if s.bind = a.Host; net.ParseIP(s.bind) == nil {
			s.bind = "127.0.0.1"
		}
		if !s.https {
			s.text = "http://:" + port // a proxy in front may send any name of this machine
		}
	case a.Host != "" && !s.https:
		s.anyName = "http://:" + port
	}
	s.url = scheme + "://" + host
	if a.Port != "" && (scheme != "http" || a.Port != "80") && (scheme != "https" || a.Port != "443") {
		s.url += ":" + a.Port
	}
	return s, nil
}

// plain reports whether a text is one token of a Caddyfile, without placeholders.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("{}\"`'\\,#*<>", r) })
}

// parsePostgresURI parses an address of DocsGPT's database. Errors do not contain it.
func parsePostgresURI(given string) (*url.URL, error) {
	u, err := url.Parse(given)
	scheme := ""
	if err == nil {
		scheme, _, _ = strings.Cut(u.Scheme, "+") // the driver of SQLAlchemy
	}
	if scheme != "postgres" && scheme != "postgresql" || u.Opaque != "" {
		return nil, errors.New("write the address of DocsGPT's database as postgresql://user@host:5432/docsgpt, with @, :, /, #, ? and % " +
			"in user and password escaped, such as %40 for @")
	}
	u.Scheme = scheme
	return u, nil
}

// hasPassword reports whether an address contains a password, which can also be a parameter.
func hasPassword(u *url.URL) bool {
	_, set := u.User.Password()
	for name := range u.Query() {
		set = set || strings.Contains(strings.ToLower(name), "password")
	}
	return set
}

// redacted returns an address without its password.
func redacted(uri string) string {
	u, err := parsePostgresURI(uri)
	if err != nil {
		return "(an address that cannot be parsed)"
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(strings.ToLower(name), "password") {
			query.Set(name, "xxxxx")
		}
	}
	u.RawQuery = query.Encode()
	return u.Redacted()
}

// escapeForEnvFile escapes the characters of a URI that systemd, a shell or Caddy would interpret in double quotes, as in a URI.
func escapeForEnvFile(uri string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(uri) {
		c := uri[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"\\$`#'!", c) >= 0 {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
