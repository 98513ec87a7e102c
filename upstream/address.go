package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Address is the address of an upstream.
type Address struct {
	URL    *url.URL // scheme, host and an optional path without a trailing slash
	Socket string   // path of a Unix socket; empty: TCP to URL.Host
}

// String returns the canonical form of the address: two addresses of the same upstream have the same form.
func (a Address) String() string {
	if a.Socket != "" {
		return "unix/" + a.Socket
	}
	return a.URL.String()
}

// ParseAddress parses an upstream's address: "host:port", "http://host[:port][/path]", "https://host[:port][/path]" or
// "unix//path/of/socket". Credentials in an address are an error, whose text does not contain them.
func ParseAddress(s string) (Address, error) {
	if strings.HasPrefix(s, "unix/") || strings.HasPrefix(s, "unix:") {
		socket, ok := strings.CutPrefix(s, "unix/")
		if !ok || !strings.HasPrefix(socket, "/") || socket == "/" {
			return Address{}, fmt.Errorf("upstream %q: write a Unix socket as unix//path/of/socket", s)
		}
		return Address{URL: &url.URL{Scheme: "http", Host: "localhost"}, Socket: socket}, nil
	}
	if strings.Contains(s, "@") {
		return Address{}, errors.New("the upstream address must not contain a user or password")
	}
	if !strings.Contains(s, "://") {
		if _, port, err := net.SplitHostPort(s); err != nil || port == "" {
			return Address{}, fmt.Errorf("upstream %q: write it as host:port, such as localhost:7091, or as a URL", s)
		}
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err // without the text of the URL, which may contain a password
		}
		return Address{}, fmt.Errorf("the upstream address is not a valid URL: %w", err)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return Address{}, fmt.Errorf("upstream %q: the scheme must be http or https", s)
	case u.Hostname() == "":
		return Address{}, fmt.Errorf("upstream %q: the host is missing", s)
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return Address{}, fmt.Errorf("upstream %q: the address must not have a query or fragment", s)
	}
	return Address{URL: &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}}, nil
}
