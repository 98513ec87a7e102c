// Package sockets finds the listening sockets of other processes that share an address with this process. Caddy sets
// SO_REUSEPORT, so the system lets a second process of the same user listen on the same address, and splits the connections.
package sockets

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
)

// Listener is a listening TCP socket, or a UDP socket that receives from any address.
type Listener struct {
	Network string // "tcp" or "udp"
	Address netip.AddrPort
	inode   uint64
	uid     int
}

// Table is a snapshot of the listening sockets of the network namespace.
type Table struct {
	Own     []Listener // of this process
	Foreign []Listener // of other processes of this user; the system does not share the address with those of other users
}

// ErrUnsupported means that the system has no table of sockets that can be read.
var ErrUnsupported = errors.New("the sockets of other processes cannot be listed on this system")

// FindForeign returns the socket of another process that shares an address, or receives a part of its connections because one of
// the addresses is a wildcard.
func (t *Table) FindForeign(network string, address netip.AddrPort) (Listener, bool) {
	for _, l := range t.Foreign {
		if l.Network == network && overlap(l.Address, address) {
			return l, true
		}
	}
	return Listener{}, false
}

// Sharing returns the processes that get a part of the TCP connections to an address, of all users, as Process describes them. A socket that
// several processes have inherited counts for one of them. Processes in another PID namespace, or of another user if this one is not root,
// are not found. The error is ErrUnsupported, or one of reading the tables.
func Sharing(address netip.AddrPort) ([]string, error) {
	all, err := readAll()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, l := range all {
		if l.Network != "tcp" || l.inode == 0 || !overlap(l.Address, address) {
			continue
		}
		if name := l.Process(); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// overlap reports whether two addresses can get the same connection. A socket of [::] is assumed to receive IPv4 as well, which is
// Go's default.
func overlap(a, b netip.AddrPort) bool {
	if a.Port() != b.Port() {
		return false
	}
	one, other := a.Addr().Unmap().WithZone(""), b.Addr().Unmap().WithZone("")
	switch {
	case one == other, one == netip.IPv6Unspecified(), other == netip.IPv6Unspecified():
		return true
	case one.Is4() != other.Is4():
		return false
	}
	return one.IsUnspecified() || other.IsUnspecified()
}

// Process describes the process of a foreign socket, such as "docsgate, PID 4711", or is "" if it is not found.
func (l Listener) Process() string {
	pid, name := process(l.inode)
	if pid == 0 {
		return ""
	}
	return name + ", PID " + strconv.Itoa(pid)
}
