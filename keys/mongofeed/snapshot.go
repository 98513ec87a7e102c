package mongofeed

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/docsgate/docsgate/keys/dbfeed"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

const (
	// maxPasses is the maximum number of passes if records change while they are read. If the result is still inconsistent, the next
	// poll corrects it.
	maxPasses = 4

	batchSize = 1000
)

// lastSnapshot is the result of the last read.
type lastSnapshot struct {
	fingerprint fingerprint
	records     map[string]*record // by collection and _id
}

// fingerprint identifies a state of the records. It includes only the fields that are read, so a conversation, which writes the time
// to its agent, is not a change.
type fingerprint struct {
	count int
	sum   uint64 // sum of hashes, so that the order does not matter
}

// record is a record as it was last read.
type record struct {
	hash     uint64
	lastPass uint64 // number of the last pass that has read it
	decoded
}

// pass is the result of one pass over the records.
type pass struct {
	number      uint64
	fingerprint fingerprint
	changed     map[string]*record // new and changed records
}

// readFull reads all records. at is a time at which they were current. The caller must hold the lock.
func (f *Feed) readFull(ctx context.Context, c *conn) ([]docsgptkeys.Agent, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, f.options.FullTimeout())
	defer cancel()
	at := time.Now()
	now := &lastSnapshot{records: map[string]*record{}}
	p, err := f.readConsistent(ctx, c, now, nil)
	if err != nil {
		return nil, at, err
	}
	if p.fingerprint.count == 0 && f.last == nil {
		if err := c.exists(ctx); err != nil {
			return nil, at, err
		}
	}
	now.replace(p)
	f.last = now
	return f.agents(), at, nil
}

// readChanged reads the changes since the last read and updates the cache. It reports whether there are pending changes. The caller
// must hold the lock, and f.last must be known.
func (f *Feed) readChanged(ctx context.Context, c *conn, cache *docsgptkeys.AgentCache) (pending bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.options.FullTimeout())
	defer cancel()
	at := time.Now()
	p, err := f.readConsistent(ctx, c, f.last, &f.last.fingerprint)
	if err != nil {
		return false, err
	}
	if p.fingerprint == f.last.fingerprint {
		cache.Confirm(at)
		return false, nil
	}
	f.last.replace(p)
	return cache.Diff(f.agents(), at), nil
}

// exists returns an error if the database does not exist. MongoDB treats it as empty.
func (c *conn) exists(ctx context.Context) error {
	// The role need not be allowed to list all collections: those that it may read are sufficient.
	names, err := c.db.ListCollectionNames(ctx, bson.D{}, options.ListCollections().SetAuthorizedCollections(true))
	if err != nil {
		return fmt.Errorf("looking for the database: %w", err)
	}
	if len(names) == 0 {
		return errNoDatabase
	}
	return nil
}

var errNoDatabase = errors.New("the database does not exist or is empty: check its name, which is DocsGPT's own " +
	"MONGO_DB_NAME (up to 0.14 always docsgpt), and that DocsGPT was started")

// replace updates the last snapshot with the result of a pass.
func (s *lastSnapshot) replace(p *pass) {
	for id, r := range p.changed {
		s.records[id] = r
	}
	for id, r := range s.records {
		if r.lastPass != p.number {
			delete(s.records, id)
		}
	}
	s.fingerprint = p.fingerprint
}

// agents returns the agents of the last snapshot, and updates f.malformed.
func (f *Feed) agents() []docsgptkeys.Agent {
	all := make([]docsgptkeys.Agent, 0, len(f.last.records))
	var malformed []docsgptkeys.Skipped
	for id, r := range f.last.records {
		switch {
		case r.reason != "":
			malformed = append(malformed, r.agent.AsSkipped(r.reason))
		case r.agent.Key.IsZero():
		case f.last.isShadowed(id):
			malformed = append(malformed, r.agent.AsSkipped("an agent has the same id"))
		default:
			all = append(all, r.agent)
		}
	}
	f.mu.Lock()
	f.malformed = malformed
	f.mu.Unlock()
	return all
}

// isShadowed reports whether a record of api_keys has the same id as an agent with a key, because it was manually migrated to 0.14.
func (s *lastSnapshot) isShadowed(id string) bool {
	if id[0] != idPrefix(APIKeys) {
		return false
	}
	other, ok := s.records[string(idPrefix(Agents))+id[1:]]
	return ok && other.reason == "" && !other.agent.Key.IsZero()
}

// readConsistent reads a consistent state of the records: with a snapshot read of the server, or else with repeated passes until two
// consecutive ones have the same fingerprint. before is the fingerprint of base, if it is known.
func (f *Feed) readConsistent(ctx context.Context, c *conn, base *lastSnapshot, before *fingerprint) (*pass, error) {
	if c.snapshots {
		p, err := f.snapshot(ctx, c, base)
		if !isSnapshotUnsupported(err) {
			return p, err
		}
		c.snapshots = false
	}
	for n := 1; ; n++ {
		p, err := f.pass(ctx, c, base)
		if err != nil || n == maxPasses || before != nil && p.fingerprint == *before {
			return p, err
		}
		before = &p.fingerprint
	}
}

// snapshot is a pass with a snapshot read of the server.
func (f *Feed) snapshot(ctx context.Context, c *conn, base *lastSnapshot) (*pass, error) {
	session, err := c.client.StartSession(options.Session().SetSnapshot(true))
	if err != nil {
		return nil, fmt.Errorf("beginning to read: %w", err)
	}
	defer session.EndSession(ctx)
	return f.pass(mongo.NewSessionContext(ctx, session), c, base)
}

// pass reads the relevant collections once.
func (f *Feed) pass(ctx context.Context, c *conn, base *lastSnapshot) (*pass, error) {
	f.passCount++
	p := &pass{number: f.passCount, changed: map[string]*record{}}
	if f.options.Collection != APIKeys {
		keyed, err := f.collect(ctx, c, Agents, base, p)
		if err != nil || f.options.Collection == Agents || f.options.Collection == "" && keyed {
			return p, err
		}
	}
	_, err := f.collect(ctx, c, APIKeys, base, p)
	return p, err
}

// collections returns the collections that may be relevant.
func (f *Feed) collections() []string {
	switch f.options.Collection {
	case Agents, APIKeys:
		return []string{f.options.Collection}
	default:
		return []string{Agents, APIKeys}
	}
}

var errTimeout = fmt.Errorf("reading a collection: %w", context.DeadlineExceeded)

// collect reads a collection, and reports whether it contains a key.
func (f *Feed) collect(ctx context.Context, c *conn, name string, base *lastSnapshot, p *pass) (keyed bool, err error) {
	// The timeout applies to each batch, so that a silently dropped connection is detected early.
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	late := time.AfterFunc(f.options.Timeout, func() { giveUp(errTimeout) })
	defer late.Stop()
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), errTimeout) {
			err = errTimeout
		}
	}()
	found, err := c.db.Collection(name).Find(ctx, bson.D{}, options.Find().SetProjection(projection).SetBatchSize(batchSize))
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", name, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dbfeed.CloseTimeout)
		defer cancel()
		_ = found.Close(ctx) // also closes the server's cursor if there are more batches
	}()
	var id []byte
	for {
		if found.RemainingBatchLength() == 0 {
			late.Reset(f.options.Timeout)
		}
		if !found.Next(ctx) {
			break
		}
		raw := found.Current
		if id, err = idOf(id[:0], name, raw); err != nil {
			return false, err
		}
		sum := maphash.Bytes(f.seed, raw)
		r, known := base.records[string(id)]
		if _, again := p.changed[string(id)]; again || known && r.lastPass == p.number {
			continue // returned twice because it was moved
		}
		if !known || r.hash != sum {
			r = &record{hash: sum, decoded: decode(raw)}
			p.changed[string(id)] = r
		}
		r.lastPass = p.number
		p.fingerprint.count++
		p.fingerprint.sum += maphash.Bytes(f.seed, id) ^ sum
		keyed = keyed || r.reason == "" && !r.agent.Key.IsZero()
	}
	if err := found.Err(); err != nil {
		return false, fmt.Errorf("reading %s: %w", name, err)
	}
	return keyed, nil
}
