// Package pgstore is a registry.Storage in PostgreSQL, in a schema of its own, which several gates share. Every gate holds all keys in
// memory and follows the changes of the others: each write sends a notification with the new revision, and a poll finds what a
// notification has missed.
//
// Writes are serialized by a lock on one row, so revisions are in the order of the commits, and a reader that has seen one revision has
// seen all before it.
package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
	"github.com/docsgate/docsgate/keys/pgfeed"
	"github.com/docsgate/docsgate/keys/registry"
)

// Errors that are wrapped with more detail.
var (
	ErrClosed = errors.New("the key store is closed")
	ErrNewer  = errors.New("the database was written by a newer version of docsgate")
)

// format is the newest format of the rows that this package reads and writes.
const format = 1

// database is what errors call the database.
const database = "the key store's database"

// Defaults of Options.
const (
	DefaultSchema       = "docsgate"
	DefaultTimeout      = 5 * time.Second
	DefaultPollInterval = time.Second
)

// maxConns is the maximum number of connections of one gate, besides the one that receives notifications.
const maxConns = 4

// Options configures a Store.
type Options struct {
	URI               keys.Secret   // any form that libpq supports; required
	Schema            string        // default DefaultSchema
	Timeout           time.Duration // of connecting and of reading single rows; default DefaultTimeout
	PollInterval      time.Duration // default DefaultPollInterval
	InsecurePlaintext bool          // allow connections to other machines without TLS

	migrations fs.FS // nil: those of this version; for tests
}

// Describe returns the name of the store that Open would open, and how its connections would be protected. It does not connect. Options
// that are not valid are an error.
func (o Options) Describe() (name string, c docsgptkeys.Connection, err error) {
	o = o.withDefaults()
	address, err := o.parse()
	if err != nil {
		return "", c, err
	}
	return nameOf(address, o.Schema), address.Connection, nil
}

func nameOf(a pgfeed.Address, schema string) string { return "store:" + a.Where + "/" + schema }

func (o Options) withDefaults() Options {
	o.Schema = cmp.Or(o.Schema, DefaultSchema)
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.PollInterval <= 0 {
		o.PollInterval = DefaultPollInterval
	}
	return o
}

// parse checks the options.
func (o Options) parse() (pgfeed.Address, error) {
	if !schemaName.MatchString(o.Schema) {
		return pgfeed.Address{}, fmt.Errorf("the schema %q is not a valid name: it must have 1 to 48 lower-case letters, digits and underscores",
			o.Schema)
	}
	if o.URI.Reveal() == "" {
		return pgfeed.Address{}, errors.New("the address of " + database + " is empty")
	}
	return pgfeed.ParseAddress(o.URI.Reveal(), database, o.Timeout, o.InsecurePlaintext)
}

// Store is a registry.Storage in a PostgreSQL database. It is safe for concurrent use. Create one with New or Open.
type Store struct {
	options Options
	address pgfeed.Address
	pool    *pgxpool.Pool

	connecting sync.Mutex // held by Connect
	connected  atomic.Bool

	mu     sync.Mutex // guards closed, and orders use.Add before use.Wait
	closed bool
	use    sync.WaitGroup
	close  func()

	closing context.Context // ends with Close, and ends watches

	blocked blockedCount
}

var (
	_ registry.SharedStorage = (*Store)(nil)
	_ registry.SizedStorage  = (*Store)(nil)
)

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

// Open returns a store that is connected; see New and Connect. The caller must call Close.
func Open(ctx context.Context, o Options) (*Store, error) {
	s, err := New(o)
	if err != nil {
		return nil, err
	}
	if err := s.Connect(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// New returns a store without access to the database. Its methods fail until Connect has succeeded. The caller must call Close.
func New(o Options) (*Store, error) {
	o = o.withDefaults()
	address, err := o.parse()
	if err != nil {
		return nil, err
	}
	o.URI = keys.Secret{} // no longer needed
	address.Config.RuntimeParams["search_path"] = o.Schema
	// Not a standby server, which lacks the newest writes. After a failover its connections would remain.
	address.Config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	config, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, err
	}
	open, cut := context.WithCancel(context.Background())
	address.Config.DialFunc = cuttable(open, address.Config.DialFunc)
	config.ConnConfig = address.Config.Copy()
	config.MaxConns, config.MinConns = maxConns, 0
	config.MaxConnIdleTime = time.Minute
	s := &Store{options: o, address: address}
	if s.pool, err = pgxpool.NewWithConfig(context.Background(), config); err != nil {
		cut()
		return nil, s.userError(err)
	}
	var endWatches context.CancelFunc
	s.closing, endWatches = context.WithCancel(context.Background())
	s.close = sync.OnceFunc(func() {
		endWatches()
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.use.Wait()
		defer cut()
		defer time.AfterFunc(closeTimeout, cut).Stop()
		s.pool.Close()
	})
	return s, nil
}

// Connect creates or upgrades the schema, if that has not succeeded yet. If another gate does that, Connect waits for it.
func (s *Store) Connect(ctx context.Context) error {
	s.connecting.Lock()
	defer s.connecting.Unlock()
	if s.connected.Load() {
		return nil
	}
	if err := s.migrate(ctx); err != nil {
		return s.userError(err)
	}
	s.connected.Store(true)
	if err := s.view(ctx, s.options.Timeout, func(ctx context.Context, tx pgx.Tx) error {
		_, _, err := readState(ctx, tx, "")
		return err
	}); err != nil {
		s.connected.Store(false)
		return err
	}
	return nil
}

// Name implements registry.Storage. It is "store:", and hosts, database and schema.
func (s *Store) Name() string { return nameOf(s.address, s.options.Schema) }

// Connection describes how the connections to the database are protected.
func (s *Store) Connection() docsgptkeys.Connection { return s.address.Connection }

// Close implements registry.Storage. It ends watches, and waits for all other calls in progress; later calls return an error that wraps
// ErrClosed.
func (s *Store) Close() error {
	s.close()
	return nil
}

// acquire begins a call. If it returns nil, release must be called.
func (s *Store) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("%s: %w", s.Name(), ErrClosed)
	}
	if !s.connected.Load() {
		return fmt.Errorf("%w: it was not connected yet", registry.ErrUnavailable)
	}
	s.use.Add(1)
	return nil
}

func (s *Store) release() { s.use.Done() }

// scanTimeout is the timeout of reading a whole table. A million keys take some seconds.
const scanTimeout = time.Minute

// view runs f in a read-only transaction with one consistent snapshot. Without a timeout a server that does not respond would block it
// forever.
func (s *Store) view(ctx context.Context, timeout time.Duration, f func(ctx context.Context, tx pgx.Tx) error) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := pgx.BeginTxFunc(limited, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return f(limited, tx)
	})
	if err = s.userError(err); err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// readState reads the newest revision and sequence, and returns an error if this version does not know the format.
func readState(ctx context.Context, tx pgx.Tx, lock string) (revision, seq uint64, err error) {
	var written int
	if err := tx.QueryRow(ctx, "SELECT format, revision, seq FROM state "+lock).Scan(&written, &revision, &seq); err != nil {
		return 0, 0, err
	}
	return revision, seq, checkFormat(written)
}
