package policy

import (
	"errors"
	"net/netip"
	"strings"
)

// Prefix is a range of IP addresses.
type Prefix struct{ netip.Prefix }

// ParsePrefix parses an address or a range such as 192.0.2.0/24. Bits after the prefix must be zero, since a range with such bits
// is most likely a mistake. The error does not contain the text.
func ParsePrefix(text string) (Prefix, error) {
	errInvalid := errors.New("an IP range must be an address or a range such as 192.0.2.0/24 or 2001:db8::/48")
	if !strings.Contains(text, "/") {
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" {
			return Prefix{}, errInvalid
		}
		address = address.Unmap()
		return Prefix{netip.PrefixFrom(address, address.BitLen())}, nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Addr().Is4In6() || prefix.Masked() != prefix {
		return Prefix{}, errInvalid
	}
	return Prefix{prefix}, nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Prefix) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePrefix(string(text))
	return err
}

// String returns the range; that of one address is the address.
func (p Prefix) String() string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.Prefix.String()
}

// MarshalText implements encoding.TextMarshaler.
func (p Prefix) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// AppendText implements encoding.TextAppender, which that of netip.Prefix would implement differently.
func (p Prefix) AppendText(b []byte) ([]byte, error) { return append(b, p.String()...), nil }

func containsAddress(list []Prefix, address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	for _, p := range list {
		if p.Contains(address) {
			return true
		}
	}
	return false
}
