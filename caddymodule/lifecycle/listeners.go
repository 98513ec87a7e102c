package lifecycle

import (
	"errors"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/internal/sockets"
)

// A closed socket resets the connections that it has established and not accepted. Caddy opens a new socket for each configuration
// before it closes the previous one, and the system splits the new connections between the two, so each reload would lose
// some, and so would an exit while the next process already listens on the address. Therefore sockets are emptied before
// they are closed: new connections go to the other socket, and those that are being established are still accepted.

// How long a socket is emptied. Clients whose handshake takes longer than emptyTime are reset, as without it. On a busy machine
// accepting the connections may take longer.
const (
	emptyTime    = 250 * time.Millisecond
	maxEmptyTime = 2 * time.Second
)

// net/http drops connections that were accepted and whose request was not read when the server begins to shut down. Sockets whose
// queue others share, those that another program has opened and unix sockets, therefore stop accepting before.

// oldListener is a listening socket that Caddy closes after the event "stopping".
type oldListener struct {
	deadlineListener
	socket  syscall.RawConn // nil: others accept from the same queue
	address netip.AddrPort
}

// deadlineListener is a TCP or unix listener.
type deadlineListener interface {
	net.Listener
	SetDeadline(deadline time.Time) error
}

// oldListeners returns the listeners of an http app.
func oldListeners(app *caddyhttp.App) []oldListener {
	var found []oldListener
	for _, server := range app.Servers {
		inherited := inheritsSockets(server)
		for _, wrapped := range server.Listeners() {
			listener := unwrapListener(wrapped)
			if listener == nil {
				continue
			}
			old := oldListener{deadlineListener: listener}
			if tcp, ok := listener.(*net.TCPListener); ok && !inherited {
				socket, err := tcp.SyscallConn()
				if err != nil {
					continue // closed
				}
				old.socket, old.address = socket, tcp.Addr().(*net.TCPAddr).AddrPort()
			}
			found = append(found, old)
		}
	}
	return found
}

// inheritsSockets reports whether a server has a socket that another program has opened.
func inheritsSockets(server *caddyhttp.Server) bool {
	for _, text := range server.Listen {
		if address, err := caddy.ParseNetworkAddress(text); err != nil || address.IsFdNetwork() {
			return true
		}
	}
	return false
}

// unwrapListener unwraps the listener of a server: TLS, and the wrappers of Caddy, which embed the wrapped listener. It returns nil if
// there is another wrapper.
func unwrapListener(l net.Listener) deadlineListener {
	for range maxWrappers {
		if direct, ok := l.(deadlineListener); ok {
			return direct
		}
		v := reflect.Indirect(reflect.ValueOf(l))
		if v.Kind() != reflect.Struct {
			return nil
		}
		field := v.FieldByName("Listener")
		if !field.IsValid() || !field.CanInterface() {
			return nil
		}
		if l, _ = field.Interface().(net.Listener); l == nil {
			return nil
		}
	}
	return nil
}

// emptyListeners empties the sockets of a configuration that is unloaded. It returns when they may be closed.
func emptyListeners(app *caddyhttp.App, exiting bool, logger *zap.Logger) {
	listeners := oldListeners(app)
	groups, waiting := socketGroups(listeners, exiting), false
	var errs []error
	for _, l := range listeners {
		if l.socket == nil {
			errs = append(errs, stopAccepting(l))
			waiting = true
		}
	}
	for _, g := range groups {
		// The kernel appends a new socket to the group, so the last one is that of the newest configuration or process. If it is
		// not, because sockets were closed meanwhile, only the distribution of the connections differs for a moment.
		err := steer(g.socket, g.size-1)
		if exiting {
			err = errors.Join(err, rejectHandshakes(g.socket))
		}
		errs, waiting = append(errs, err), waiting || err == nil
	}
	if waiting {
		time.Sleep(emptyTime)
	}
	for deadline := time.Now().Add(maxEmptyTime); waiting && slices.ContainsFunc(groups, hasPending) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	for _, g := range groups {
		// From here on until it is closed.
		errs = append(errs, rejectHandshakes(g.socket), steer(g.socket, noSteering))
	}
	if err := errors.Join(errs...); err != nil {
		logger.Debug("connections that are being established may be reset", zap.Error(err))
	}
}

func hasPending(g socketGroup) bool { return pendingConns(g.socket) > 0 }

// socketGroup is a socket with the number of sockets on its address.
type socketGroup struct {
	oldListener
	size int
}

// socketGroups returns the sockets that are to be emptied: in a reload those whose address has a newer socket of this process, and
// before an exit all.
func socketGroups(listeners []oldListener, exiting bool) []socketGroup {
	table, err := sockets.Read()
	if err != nil {
		return nil
	}
	var groups []socketGroup
	for _, l := range listeners {
		if l.socket == nil {
			continue
		}
		own, size := 0, 0
		for _, other := range table.Own {
			if other.Network == "tcp" && other.Address == l.address {
				own++
			}
		}
		for _, other := range table.Foreign {
			if other.Network == "tcp" && other.Address == l.address {
				size++
			}
		}
		if size += own; exiting || own > 1 {
			groups = append(groups, socketGroup{l, size})
		}
	}
	return groups
}
