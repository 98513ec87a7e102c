package pgstore

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// closeTimeout is how long Close waits for the server to close connections. pgx would wait for 15 s if the server does not respond.
const closeTimeout = 200 * time.Millisecond

// cuttable returns a function that dials like another one, with connections that are closed when ctx is canceled.
func cuttable(ctx context.Context, dial pgconn.DialFunc) pgconn.DialFunc {
	return func(dialing context.Context, network, addr string) (net.Conn, error) {
		raw, err := dial(dialing, network, addr)
		if err != nil {
			return nil, err
		}
		return &cuttableConn{raw, context.AfterFunc(ctx, func() { _ = raw.Close() })}, nil
	}
}

type cuttableConn struct {
	net.Conn
	stop func() bool
}

// Close implements net.Conn.
func (c *cuttableConn) Close() error {
	c.stop()
	return c.Conn.Close()
}
