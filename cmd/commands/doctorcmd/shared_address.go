package doctorcmd

import (
	"net"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/doctor"
	"github.com/docsgate/docsgate/internal/sockets"
)

// sharedAddresses returns the TCP addresses of the deployment on which several processes listen. With shared_port only the admin endpoint
// is checked. Systems whose sockets cannot be listed have none.
func sharedAddresses(in *doctor.Input, sharedPort bool) (shared []doctor.SharedAddress) {
	seen := map[netip.AddrPort]bool{}
	add := func(listen string, admin bool) {
		for _, address := range tcpAddresses(listen) {
			if seen[address] {
				continue
			}
			seen[address] = true
			if found, err := sockets.Sharing(address); err == nil && len(found) > 1 {
				shared = append(shared, doctor.SharedAddress{Address: listen, Admin: admin, Processes: found})
			}
		}
	}
	if !in.Admin.Disabled {
		add(in.Admin.Listen, true)
	}
	if sharedPort {
		return shared
	}
	for i := range in.Gates {
		for _, listen := range in.Gates[i].Listen {
			add(listen, false)
		}
	}
	for i := range in.Consoles {
		for _, listen := range in.Consoles[i].Listen {
			add(listen, false)
		}
	}
	return shared
}

// tcpAddresses returns the addresses of a listener in Caddy's notation: none for a port that the system chooses, or if it is not TCP.
func tcpAddresses(listen string) (addresses []netip.AddrPort) {
	parsed, err := caddy.ParseNetworkAddress(listen)
	if err != nil || !strings.HasPrefix(parsed.Network, "tcp") || parsed.StartPort == 0 {
		return nil
	}
	for _, one := range parsed.Expand() {
		resolved, err := net.ResolveTCPAddr(one.Network, one.JoinHostPort(0))
		if err != nil {
			continue
		}
		ip, ok := netip.AddrFromSlice(resolved.IP)
		if !ok {
			ip = netip.IPv6Unspecified()
		}
		addresses = append(addresses, netip.AddrPortFrom(ip.Unmap(), resolved.AddrPort().Port()))
	}
	return addresses
}
