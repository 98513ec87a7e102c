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

// closeTimeout is how long saying good-bye may take.
const closeTimeout = 200 * time.Millisecond

// snapshotWireVersion is the version of the protocol from which on a set of servers lets everybody read at one moment of its past:
// that of MongoDB 5.0.
const snapshotWireVersion = 13

// conn is a connection to the database: all that the library keeps for it.
type conn struct {
	client      *mongo.Client
	db          *mongo.Database
	topology    *topologyMonitor
	localDialer *localDialer // nil: servers anywhere are connected
	replicated  bool         // it may have change streams
	snapshots   bool         // it may be read at one moment
}

// connect connects to the database and asks what it can do. The context that it returns is for everything that is done
// with the link: it ends when none of the servers can be reached any more, and when the link is closed.
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
	// Others may be behind, for as long as they are cut off: a key that is gone would go on there.
	o.SetReadPreference(readpref.Primary())
	// A second try is made by whoever runs the feed, who must know at once that the first one failed.
	o.SetRetryReads(false)
	if o.TLSConfig == nil && !f.options.InsecurePlaintext {
		l.localDialer = &localDialer{}
		o.SetDialer(l.localDialer)
	}
	l.topology.hosts = max(f.address.hosts, len(o.Hosts))
	o.SetServerMonitor(l.topology.monitor())
	l.client, err = mongo.Connect(o)
	if err != nil {
		return errAddress // nothing else is looked at yet; the library's error would repeat parts of it
	}
	l.db = l.client.Database(f.address.database)
	return l.hello(ctx)
}

// hello asks what the server is.
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

// close ends the connection, properly if that is quick, and waits until nothing of it is left.
func (l *conn) close() {
	defer l.topology.cancel()
	if l.client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = l.client.Disconnect(ctx) // nothing was written, so nothing is lost
}

// cause returns what is behind an error: why the servers cannot be reached, if that is so.
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

// topologyMonitor gives up once none of the servers can be reached. The library itself would go on trying until the time of a
// question is over, and then tell less.
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
