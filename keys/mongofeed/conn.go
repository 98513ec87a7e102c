package mongofeed

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

// closeTimeout is the timeout for closing a connection properly.
const closeTimeout = 200 * time.Millisecond

// snapshotWireVersion is the version of the protocol from which on a set of servers lets everybody read at one moment of its past:
// that of MongoDB 5.0.
const snapshotWireVersion = 13

// conn is a connection to the database: a client of the driver and its capabilities.
type conn struct {
	client      *mongo.Client
	db          *mongo.Database
	topology    *topologyMonitor
	localDialer *localDialer // nil: servers anywhere are connected
	replicated  bool         // it may have change streams
	snapshots   bool         // it may be read at one moment
}

// connect connects to the database and detects its capabilities. The returned context must be used for all operations on the
// connection: it is canceled when all servers are unreachable, and when the connection is closed.
func (f *Feed) connect(ctx context.Context) (context.Context, *conn, error) {
	linked, giveUp := context.WithCancel(ctx)
	l := &conn{topology: &topologyMonitor{cancel: giveUp, up: map[string]bool{}, failed: map[string]bool{}}}
	if err := f.open(linked, l); err != nil {
		err = l.cause(err)
		l.close()
		return ctx, nil, fmt.Errorf("connecting to DocsGPT's database: %w", err)
	}
	return linked, l, nil
}

func (f *Feed) open(ctx context.Context, l *conn) error {
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	o, err := f.address.clientOptions(ctx)
	if err != nil {
		return err
	}
	if o.AppName == nil {
		o.SetAppName("docsgate")
	}
	if o.ConnectTimeout == nil || *o.ConnectTimeout <= 0 || *o.ConnectTimeout > f.options.Timeout {
		o.SetConnectTimeout(f.options.Timeout)
	}
	o.SetServerSelectionTimeout(f.options.Timeout)
	// Secondaries may lag behind, and a deleted key would remain valid.
	o.SetReadPreference(readpref.Primary())
	// The syncer retries, and must be informed immediately about a failure.
	o.SetRetryReads(false)
	if o.TLSConfig == nil && !f.options.InsecurePlaintext {
		l.localDialer = &localDialer{}
		o.SetDialer(l.localDialer)
	}
	l.topology.hosts = max(f.address.hosts, len(o.Hosts))
	o.SetServerMonitor(l.topology.monitor())
	l.client, err = mongo.Connect(o)
	if err != nil {
		return errAddress // nothing else is checked yet; the driver's error would contain parts of the address
	}
	l.db = l.client.Database(f.address.database)
	return l.hello(ctx)
}

// hello detects the capabilities of the server.
func (l *conn) hello(ctx context.Context) error {
	var answer struct {
		SetName        string `bson:"setName"`
		Msg            string `bson:"msg"`
		MaxWireVersion int    `bson:"maxWireVersion"`
	}
	if err := l.db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&answer); err != nil {
		return err
	}
	l.replicated = answer.SetName != "" || answer.Msg == "isdbgrid"
	l.snapshots = l.replicated && answer.MaxWireVersion >= snapshotWireVersion
	return nil
}

// close closes the connection, properly if that is quick, and waits until its goroutines have ended.
func (l *conn) close() {
	defer l.topology.cancel()
	if l.client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = l.client.Disconnect(ctx) // nothing was written, so the error is irrelevant
}

// cause returns the cause of an error: the reason why the servers are unreachable, if they are.
func (l *conn) cause(err error) error {
	l.topology.mu.Lock()
	defer l.topology.mu.Unlock()
	if l.topology.cause != nil {
		return l.topology.cause
	}
	if l.localDialer != nil && mongo.IsTimeout(err) {
		if host := l.localDialer.blockedHost.Load(); host != nil { // it was waited for in vain
			return &plaintextMemberError{*host}
		}
	}
	return err
}

// topologyMonitor cancels the connection when all servers are unreachable. The driver would retry until the timeout of the
// operation, and then return a less specific error.
type topologyMonitor struct {
	hosts  int // that must have failed
	cancel context.CancelFunc

	mu         sync.Mutex // guards the following
	up, failed map[string]bool
	cause      error // why the last one cannot be reached; nil: there is one
}

func (r *topologyMonitor) monitor() *event.ServerMonitor {
	return &event.ServerMonitor{
		ServerHeartbeatSucceeded: func(e *event.ServerHeartbeatSucceededEvent) {
			host, _, _ := strings.Cut(e.ConnectionID, "[-")
			r.mu.Lock()
			defer r.mu.Unlock()
			r.up[host] = true
			delete(r.failed, host)
		},
		ServerHeartbeatFailed: func(e *event.ServerHeartbeatFailedEvent) {
			host, _, _ := strings.Cut(e.ConnectionID, "[-")
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.up, host)
			r.failed[host] = true
			if len(r.up) == 0 && len(r.failed) >= r.hosts && r.cause == nil {
				r.cause = e.Failure
				r.cancel()
			}
		},
	}
}
