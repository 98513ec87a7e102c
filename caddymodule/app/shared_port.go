package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/internal/sockets"
)

// running holds the TCP addresses of the running configuration. They are not checked again: a process that shares them was started
// later, with shared_port. Nil: no configuration runs.
var running atomic.Pointer[[]netip.AddrPort]

func isRunning(address netip.AddrPort) bool {
	addresses := running.Load()
	return addresses != nil && slices.Contains(*addresses, address)
}

// checkAdminAddress returns an error if another process shares an address that this process already listens on. When a
// configuration is provisioned that is the admin endpoint's, and there is none while a configuration is only validated. It runs
// before the feeds are loaded, which may take seconds, since until the process exits each of the two gets a part of the
// connections.
func (a *App) checkAdminAddress() error {
	table := a.readSockets()
	if table == nil {
		return nil
	}
	for _, own := range table.Own {
		if own.Network != "tcp" || isRunning(own.Address) {
			continue
		}
		other, found := table.FindForeign(own.Network, own.Address)
		switch {
		case !found:
		case a.SharedPort:
			a.logger.Warn("the admin endpoint shares its address with another process, so commands reach either of them; "+
				"give each process its own with the global option admin",
				zap.Stringer("address", own.Address), zap.String("process", other.Process()))
		default:
			return addressError(own.Address.String(), other.Process(), "the address of the admin endpoint (global option admin)")
		}
	}
	return nil
}

// CheckServer checks the addresses of the server that a handler belongs to. It must be called while the handler is provisioned.
//
// If another process listens there, Start fails. Until then it is not an error, since configurations are validated while a gate
// runs with them. Caddy starts apps in random order, so the server also loses its addresses: otherwise it would get a part of
// the connections of the other process before Start fails.
func (a *App) CheckServer(ctx caddy.Context) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || a.SharedPort {
		return
	}
	if err := a.checkAddresses(ctx, server); err != nil {
		a.addressConflict, server.Listen = err, nil
	}
}

// checkServers checks the addresses of all servers.
func (a *App) checkServers() error {
	if a.SharedPort || a.addressConflict != nil {
		return a.addressConflict
	}
	servers, err := a.servers()
	if err != nil {
		return err
	}
	for _, server := range servers {
		if err := a.checkAddresses(a.ctx, server); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) servers() (map[string]*caddyhttp.Server, error) {
	http, err := a.ctx.AppIfConfigured("http")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return http.(*caddyhttp.App).Servers, nil
}

// setRunning remembers the addresses of this configuration.
func (a *App) setRunning() {
	var addresses []netip.AddrPort
	servers, _ := a.servers() // Start has checked the error
	for _, server := range servers {
		for _, address := range listenAddresses(server) {
			if resolved, err := resolve(address); err == nil {
				addresses = append(addresses, resolved)
			}
		}
	}
	if table := a.readSockets(); table != nil {
		for _, own := range table.Own {
			addresses = append(addresses, own.Address)
		}
	}
	running.Store(&addresses)
}

// readSockets returns the sockets, or nil on systems where they cannot be listed.
func (a *App) readSockets() *sockets.Table {
	table, err := sockets.Read()
	if err == nil || errors.Is(err, sockets.ErrUnsupported) {
		return table
	}
	// Some containers have no /proc.
	a.logger.Debug("cannot check whether another process uses the same addresses", zap.Error(err))
	return nil
}

// checkAddresses returns an error if another process listens on an address of a server. Ports that the system chooses, and sockets
// that another process has opened ("bind fd/3"), are never in conflict.
func (a *App) checkAddresses(ctx context.Context, server *caddyhttp.Server) error {
	table := a.readSockets()
	for _, address := range listenAddresses(server) {
		if process, conflict := conflicting(ctx, table, server, address); conflict {
			return addressError(address.String(), process, "the address of the site")
		}
	}
	return nil
}

// listenAddresses returns the addresses of a server. Addresses that are invalid are an error in the http app.
func listenAddresses(server *caddyhttp.Server) []caddy.NetworkAddress {
	var addresses []caddy.NetworkAddress
	for _, text := range server.Listen {
		if address, err := caddy.ParseNetworkAddress(text); err == nil {
			addresses = append(addresses, address.Expand()...)
		}
	}
	return addresses
}

func conflicting(ctx context.Context, table *sockets.Table, server *caddyhttp.Server, address caddy.NetworkAddress) (process string, _ bool) {
	text := address.JoinHostPort(0)
	tcp := strings.HasPrefix(address.Network, "tcp") && address.StartPort != 0
	switch {
	case !tcp && address.Network != "unix":
		return "", false
	case !tcp || table == nil:
		own := caddy.ListenerUsage(address.Network, text) > 0
		return "", !own && sockets.InUse(ctx, address.Network, text)
	}
	resolved, err := resolve(address)
	if err != nil || isRunning(resolved) {
		return "", false
	}
	networks := []string{"tcp"}
	if len(server.TLSConnPolicies) > 0 && slices.Contains(server.Protocols, "h3") {
		networks = append(networks, "udp")
	}
	for _, network := range networks {
		if other, found := table.FindForeign(network, resolved); found {
			return other.Process(), true
		}
	}
	return "", false
}

// resolve returns the address that Caddy listens on.
func resolve(address caddy.NetworkAddress) (netip.AddrPort, error) {
	if !strings.HasPrefix(address.Network, "tcp") {
		return netip.AddrPort{}, fmt.Errorf("%s is not a TCP address", address)
	}
	resolved, err := net.ResolveTCPAddr(address.Network, address.JoinHostPort(0))
	if err != nil {
		return netip.AddrPort{}, err
	}
	addr, _ := netip.AddrFromSlice(resolved.IP)
	if !addr.IsValid() {
		if addr = netip.IPv6Unspecified(); address.Network == "tcp4" {
			addr = netip.IPv4Unspecified()
		}
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(resolved.Port)), nil
}

func addressError(address, process, what string) error {
	if process == "" {
		process = "another process"
	} else {
		process = "another process (" + process + ")"
	}
	return fmt.Errorf("%s already listens on %s, and each would get a part of the connections: stop it or change %s; "+
		"to share the address, specify shared_port in the docsgate options, or pass one socket to both with bind fd/N", process, address, what)
}
