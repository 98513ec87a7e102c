package pgfeed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/keys/dbfeed"
)

// conn is a connection to the database that can be closed immediately. pgx closes a connection whose request was canceled in a
// goroutine, which takes up to 15 s.
type conn struct {
	feed     *Feed
	pg       *pgx.Conn
	notified bool // the database sends notifications of changes

	mu        sync.Mutex // guards the following
	raw       []net.Conn
	closed    bool
	connected bool // no further connections are allowed
}

// connect connects to the database.
func (f *Feed) connect(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(f.address.Hosts)*f.options.Timeout)
	defer cancel()
	c := &conn{feed: f}
	config := f.address.Config.Copy()
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if err := c.denyCancelDial(); err != nil {
			return nil, err
		}
		raw, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return c.keep(raw)
	}
	pg, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		c.cut()
		return nil, fmt.Errorf("connecting to DocsGPT's database: %w", err)
	}
	c.mu.Lock()
	c.pg, c.connected = pg, true
	c.mu.Unlock()
	return c, nil
}

// denyCancelDial prevents the second connection with which pgx cancels a request: the statement timeout of the server has the same
// effect, and the second connection would outlive the first one.
func (c *conn) denyCancelDial() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.connected || c.closed {
		return errors.New("the connection is being closed")
	}
	return nil
}

func (c *conn) keep(raw net.Conn) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errors.Join(net.ErrClosed, raw.Close())
	}
	c.raw = append(c.raw, raw)
	return raw, nil
}

// Close implements dbfeed.Conn. It closes the connection properly if that is quick.
func (c *conn) Close() {
	if !c.pg.IsClosed() {
		ctx, cancel := context.WithTimeout(context.Background(), dbfeed.CloseTimeout)
		_ = c.pg.Close(ctx) // nothing was written, so the error is irrelevant
		cancel()
	}
	c.cut()
	<-c.pg.PgConn().CleanupDone()
}

func (c *conn) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, raw := range c.raw {
		_ = raw.Close()
	}
}
