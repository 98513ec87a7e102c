package mongofeed

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"github.com/docsgate/docsgate/keys/dbfeed"
)

// snapshotWireVersion is the first version of the wire protocol in which a replica set supports snapshot reads: that of MongoDB
// 5.0.
const snapshotWireVersion = 13

// conn is a connection to the database: a client of the driver and its capabilities.
type conn struct {
	feed        *Feed
	streams     streams // empty: the database is polled
	client      *mongo.Client
	db          *mongo.Database
	topology    *topologyMonitor
	localDialer *localDialer // nil: servers anywhere are connected
	replicated  bool         // it may support change streams
	snapshots   bool         // it supports snapshot reads
}

// connect connects to the database and detects its capabilities. The returned context must be used for all operations on the
// connection: it is canceled when all servers are unreachable, and when the connection is closed.
func (f *Feed) connect(ctx context.Context) (context.Context, *conn, error) {
	linked, giveUp := context.WithCancel(ctx)
	c := &conn{feed: f, topology: &topologyMonitor{cancel: giveUp, up: map[string]bool{}, failed: map[string]bool{}}}
	if err := f.open(linked, c); err != nil {
		err = c.Cause(err)
		c.Close()
		return ctx, nil, fmt.Errorf("connecting to DocsGPT's database: %w", err)
	}
	return linked, c, nil
}

func (f *Feed) open(ctx context.Context, c *conn) error {
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
		c.localDialer = &localDialer{}
		o.SetDialer(c.localDialer)
	}
	c.topology.hosts = max(f.address.hosts, len(o.Hosts))
	o.SetServerMonitor(c.topology.monitor())
	c.client, err = mongo.Connect(o)
	if err != nil {
		return errAddress // nothing else is checked yet; the driver's error would contain parts of the address
	}
	c.db = c.client.Database(f.address.database)
	return c.hello(ctx)
}

// hello detects the capabilities of the server.
func (c *conn) hello(ctx context.Context) error {
	var answer struct {
		SetName        string `bson:"setName"`
		Msg            string `bson:"msg"`
		MaxWireVersion int    `bson:"maxWireVersion"`
	}
	if err := c.db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&answer); err != nil {
		return err
	}
	c.replicated = answer.SetName != "" || answer.Msg == "isdbgrid"
	c.snapshots = c.replicated && answer.MaxWireVersion >= snapshotWireVersion
	return nil
}

// Close implements dbfeed.Conn. It closes the connection properly if that is quick.
func (c *conn) Close() {
	defer c.topology.cancel()
	if c.client == nil {
		return
	}
	c.streams.close()
	ctx, cancel := context.WithTimeout(context.Background(), dbfeed.CloseTimeout)
	defer cancel()
	_ = c.client.Disconnect(ctx) // nothing was written, so the error is irrelevant
}

// Cause implements dbfeed.Conn. If the servers are unreachable, it returns the reason.
func (c *conn) Cause(err error) error {
	c.topology.mu.Lock()
	defer c.topology.mu.Unlock()
	if c.topology.cause != nil {
		return c.topology.cause
	}
	if c.localDialer != nil && mongo.IsTimeout(err) {
		if host := c.localDialer.blockedHost.Load(); host != nil { // the driver was waiting for it
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
