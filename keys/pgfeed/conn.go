package pgfeed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// closeTimeout is the timeout for closing a connection properly.
const closeTimeout = 200 * time.Millisecond

// conn is a connection to the database that can be closed immediately. pgx closes a connection whose request was canceled in a
// goroutine, which takes up to 15 s.
type conn struct {
	pg *pgx.Conn

	mu        sync.Mutex // guards the following
	raw       []net.Conn
	closed    bool
	connected bool // no further connections are allowed
}

// connect connects to the database.
func (f *Feed) connect(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(f.address.hosts)*f.options.Timeout)
	defer cancel()
	l := &conn{}
	config := f.address.config.Copy()
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if err := l.denyCancelDial(); err != nil {
			return nil, err
		}
		raw, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return l.keep(raw)
	}
	pg, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		l.cut()
		return nil, fmt.Errorf("connecting to DocsGPT's database: %w", err)
	}
	l.mu.Lock()
	l.pg, l.connected = pg, true
	l.mu.Unlock()
	return l, nil
}

// denyCancelDial prevents the second connection with which pgx cancels a request: the statement timeout of the server has the same
// effect, and the second connection would outlive the first one.
func (l *conn) denyCancelDial() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.connected || l.closed {
		return errors.New("the connection is being closed")
	}
	return nil
}

func (l *conn) keep(raw net.Conn) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errors.Join(net.ErrClosed, raw.Close())
	}
	l.raw = append(l.raw, raw)
	return raw, nil
}

// close closes the connection, properly if that is quick, and waits until its goroutines have ended.
func (l *conn) close() {
	if !l.pg.IsClosed() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		_ = l.pg.Close(ctx) // nothing was written, so the error is irrelevant
		cancel()
	}
	l.cut()
	<-l.pg.PgConn().CleanupDone()
}

func (l *conn) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, raw := range l.raw {
		_ = raw.Close()
	}
}
