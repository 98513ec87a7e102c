package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Address is where an upstream is.
type Address struct {
	URL    *url.URL // scheme, host and, where the upstream stands below one, a path without a slash at its end
	Socket string   // path of a unix socket; empty: TCP to URL.Host
}

// String returns the address in its one spelling: two that are the same upstream are the same text.
func (a Address) String() string {
	if a.Socket != "" {
		return "unix/" + a.Socket
	}
	return a.URL.String()
}

// ParseAddress reads an upstream's address: "host:port", "http://host[:port][/path]", "https://host[:port][/path]" or
// "unix//path/of/socket". The error says what is wrong with it; credentials in an address are refused and not shown.
func ParseAddress(s string) (Address, error) {
	if strings.HasPrefix(s, "unix/") || strings.HasPrefix(s, "unix:") {
		socket, ok := strings.CutPrefix(s, "unix/")
		if !ok || !strings.HasPrefix(socket, "/") || socket == "/" {
			return Address{}, fmt.Errorf("upstream %q: write a unix socket as unix//path/of/socket", s)
		}
		return Address{URL: &url.URL{Scheme: "http", Host: "localhost"}, Socket: socket}, nil
	}
	if strings.Contains(s, "@") {
		return Address{}, errors.New("the upstream's address holds a user or password: leave them out")
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
			err = parse.Err // without the text of the URL
		}
		return Address{}, fmt.Errorf("the upstream's address is no URL: %w", err)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return Address{}, fmt.Errorf("upstream %q: the scheme must be http or https", s)
	case u.Hostname() == "":
		return Address{}, fmt.Errorf("upstream %q: the host is missing", s)
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return Address{}, fmt.Errorf("upstream %q: an upstream has no query and no fragment", s)
	}
	return Address{URL: &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}}, nil
}
