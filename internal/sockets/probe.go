package sockets

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// InUse reports whether a socket listens on an address, of this process or another. network is a network of net.Listen; for a unix
// socket it connects. It must not be used while this process shares the address.
func InUse(ctx context.Context, network, address string) bool {
	if network == "unix" {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	}
	// Unlike Caddy's sockets this one has no SO_REUSEPORT. With Go's SO_REUSEADDR, connections in TIME_WAIT do not matter.
	listener, err := new(net.ListenConfig).Listen(ctx, network, address)
	if err != nil {
		return errors.Is(err, syscall.EADDRINUSE)
	}
	_ = listener.Close()
	return false
}
