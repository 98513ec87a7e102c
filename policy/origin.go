package policy

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/idna"
)

// Origin is a pattern of web origins: an origin such as https://docs.example.com, all subdomains as in https://*.example.org
// (of any depth, without example.org itself), "*" for any origin, or "null" for pages without an origin. Create one with
// ParseOrigin.
type Origin struct{ scheme, host, port string }

const (
	anyOrigin  = "*"
	nullOrigin = "null"
	maxOrigin  = 300 // bytes
)

var errOrigin = errors.New("an origin must be a scheme and a host, such as https://docs.example.com or https://*.example.org, " +
	`or "*" for any origin; without a path`)

// ParseOrigin parses a pattern. Host names are converted to the form that browsers send: lower case and punycode, without the
// default port. The error does not contain the text.
func ParseOrigin(text string) (Origin, error) {
	if text == anyOrigin || text == nullOrigin {
		return Origin{scheme: text}, nil
	}
	u, err := url.Parse(text)
	if err != nil || len(text) > maxOrigin || u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" ||
		strings.HasSuffix(text, "#") || u.Scheme != "http" && u.Scheme != "https" {
		return Origin{}, errOrigin
	}
	host, port := u.Hostname(), u.Port()
	if strings.HasSuffix(u.Host, ":") || port != "" && !isPort(port) {
		return Origin{}, errOrigin
	}
	if port == defaultPort(u.Scheme) {
		port = ""
	}
	if strings.HasPrefix(u.Host, "[") {
		address, err := netip.ParseAddr(host)
		if err != nil || address.Zone() != "" {
			return Origin{}, errOrigin
		}
		return Origin{u.Scheme, "[" + address.String() + "]", port}, nil
	}
	base, wildcard := strings.CutPrefix(host, "*.")
	bare, dot := strings.CutSuffix(base, ".")
	ascii, err := idna.Lookup.ToASCII(bare)
	if err != nil || ascii == "" || wildcard && !strings.Contains(ascii, ".") {
		return Origin{}, errOrigin
	}
	if dot {
		ascii += "." // another host for browsers
	}
	if wildcard {
		if _, err := netip.ParseAddr(ascii); err == nil {
			return Origin{}, errOrigin
		}
		ascii = "*." + ascii
	}
	return Origin{u.Scheme, ascii, port}, nil
}

// String returns the normalized pattern.
func (o Origin) String() string {
	if o.host == "" {
		return o.scheme
	}
	text := o.scheme + "://" + o.host
	if o.port != "" {
		text += ":" + o.port
	}
	return text
}

// IsAny reports whether the pattern matches every origin.
func (o Origin) IsAny() bool { return o.scheme == anyOrigin }

// IsExact reports whether the pattern matches only one origin, and is not "null".
func (o Origin) IsExact() bool { return o.host != "" && !strings.HasPrefix(o.host, "*.") }

// MarshalText implements encoding.TextMarshaler.
func (o Origin) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *Origin) UnmarshalText(text []byte) (err error) {
	*o, err = ParseOrigin(string(text))
	return err
}

// AllowsOrigin reports whether a value of the header Origin matches one of the patterns. A missing value ("") matches only "*".
func AllowsOrigin(patterns []Origin, value string) bool {
	scheme, host, port, valid := splitOrigin(value)
	for i := range patterns {
		p := &patterns[i]
		switch {
		case p.IsAny():
			return true
		case p.scheme == nullOrigin:
			if value == nullOrigin {
				return true
			}
		case !valid || !strings.EqualFold(p.scheme, scheme) || p.port != port:
		case strings.HasPrefix(p.host, "*."):
			suffix := p.host[1:] // with the dot
			if n := len(host) - len(suffix); n > 0 && host[0] != '.' && strings.EqualFold(host[n:], suffix) {
				return true
			}
		case strings.EqualFold(p.host, host):
			return true
		}
	}
	return false
}

// splitOrigin splits an origin as browsers serialize it. The default port is removed.
func splitOrigin(value string) (scheme, host, port string, valid bool) {
	scheme, rest, ok := strings.Cut(value, "://")
	if !ok || len(value) > maxOrigin || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", "", "", false
	}
	host = rest
	end := strings.LastIndexByte(rest, ':')
	if end > strings.LastIndexByte(rest, ']') {
		host, port = rest[:end], rest[end+1:]
		if !isPort(port) {
			return "", "", "", false
		}
	}
	for i := range len(host) {
		if c := host[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`/\?#@%,;"<>*`, c) >= 0 {
			return "", "", "", false
		}
	}
	if len(scheme) == 5 && port == "443" || len(scheme) == 4 && port == "80" {
		port = ""
	}
	return scheme, host, port, host != ""
}

func isPort(text string) bool {
	if text == "" || len(text) > 5 || text[0] == '0' {
		return false
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}
