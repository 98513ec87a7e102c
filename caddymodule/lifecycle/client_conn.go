package lifecycle

import (
	"context"
	"net"
	"reflect"
	"sync/atomic"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// clientConn is a client's connection. While a handler runs, net/http reads at most one byte ahead, so it does not notice
// that a client disconnects after it has sent a byte. The gate therefore polls the socket. It is safe for concurrent use.
type clientConn struct {
	net.Conn
	socket  syscall.RawConn // nil: no access to the socket, because of wrappers
	tcp     bool
	limited atomic.Bool // see limitUnsent
}

// LimitUnsent limits how much unsent data the system buffers for the client of a request.
func (t *Request) LimitUnsent() {
	if t.conn != nil {
		t.conn.limitUnsent()
	}
}

type clientConnKey struct{}

// KeepConns makes the server put each connection into the context of its requests. Several handlers may call it.
func KeepConns(ctx caddy.Context) {
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
		server.RegisterConnContext(withClientConn)
	}
}

func withClientConn(ctx context.Context, c net.Conn) context.Context {
	if clientConnOf(ctx) != nil {
		return ctx
	}
	return context.WithValue(ctx, clientConnKey{}, newClientConn(c))
}

// clientConnOf returns the connection of a request, or nil if it is unknown, as with HTTP/3.
func clientConnOf(ctx context.Context) *clientConn {
	c, _ := ctx.Value(clientConnKey{}).(*clientConn)
	return c
}

// maxWrappers is the maximum number of wrappers of a connection that are unwrapped: TLS, and those of Caddy's listeners.
const maxWrappers = 8

func newClientConn(c net.Conn) *clientConn {
	client := &clientConn{Conn: c}
	for range maxWrappers {
		if direct, ok := c.(syscall.Conn); ok {
			if socket, err := direct.SyscallConn(); err == nil {
				client.socket = socket
				_, client.tcp = c.LocalAddr().(*net.TCPAddr)
			}
			return client
		}
		switch wrapper := c.(type) {
		case interface{ NetConn() net.Conn }: // TLS
			c = wrapper.NetConn()
		case interface{ Raw() net.Conn }: // the PROXY protocol
			c = wrapper.Raw()
		default:
			c = embeddedConn(c)
		}
		if c == nil {
			return client
		}
	}
	return client
}

// embeddedConn returns the connection that a struct embeds, or nil. Caddy's wrappers have no method for it.
func embeddedConn(c net.Conn) net.Conn {
	v := reflect.ValueOf(c)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	// Fails if an embedded pointer is nil.
	field, err := v.FieldByIndexErr(embeddedIndex(v.Type()))
	if err != nil || !field.CanInterface() {
		return nil
	}
	inner, _ := field.Interface().(net.Conn)
	return inner
}

func embeddedIndex(t reflect.Type) []int {
	field, ok := t.FieldByName("Conn")
	if !ok {
		return nil
	}
	return field.Index
}
