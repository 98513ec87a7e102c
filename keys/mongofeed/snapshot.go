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

	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

const (
	// maxPasses is how often records that change while they are read are read again. What is torn even then is whole at the
	// next look.
	maxPasses = 4

	batchSize = 1000
)

// lastSnapshot is what the last reading has seen.
type lastSnapshot struct {
	fingerprint fingerprint
	records     map[string]*record // by collection and _id
}

// fingerprint tells one state of the records from another. Only what is read of them counts, so that a conversation, which writes
// the time into its agent, is no change.
type fingerprint struct {
	count int
	sum   uint64 // of the marks of the records, so that their order does not matter
}

// record is what was seen of one record.
type record struct {
	hash     uint64
	lastPass uint64 // that has met it last
	decoded
}

// lastPass is what one pass has met.
type pass struct {
	number      uint64
	fingerprint fingerprint
	changed     map[string]*record // those that are new or other than before
}

// readFull reads all records. The time is one at which they were the newest. To be called between begin and end.
func (f *Feed) readFull(ctx context.Context, l *conn) ([]docsgptkeys.Agent, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, fullTimeouts*f.options.Timeout)
	defer cancel()
	at := time.Now()
	now := &lastSnapshot{records: map[string]*record{}}
	img, err := f.readConsistent(ctx, l, now, nil)
	if err != nil {
		return nil, at, err
	}
	if img.fingerprint.count == 0 && f.last == nil {
		if err := l.exists(ctx); err != nil {
			return nil, at, err
		}
	}
	now.replace(img)
	f.last = now
	return f.agents(), at, nil
}

// readChanged reads what has changed since the last reading and tells the memory. It tells whether there is something to
// give out. To be called between begin and end; seen must be known.
func (f *Feed) readChanged(ctx context.Context, l *conn) (pending bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, fullTimeouts*f.options.Timeout)
	defer cancel()
	at := time.Now()
	img, err := f.readConsistent(ctx, l, f.last, &f.last.fingerprint)
	if err != nil {
		return false, err
	}
	if img.fingerprint == f.last.fingerprint {
		f.cache.Confirm(at)
		return false, nil
	}
	f.last.replace(img)
	return f.cache.Diff(f.agents(), at), nil
}

// exists makes sure that the database is there. MongoDB itself has nothing against reading one that is not.
func (l *conn) exists(ctx context.Context) error {
	// The role need not be allowed to list collections: it is told of those that it may read.
	names, err := l.db.ListCollectionNames(ctx, bson.D{}, options.ListCollections().SetAuthorizedCollections(true))
	if err != nil {
		return fmt.Errorf("looking for the database: %w", err)
	}
	if len(names) == 0 {
		return errNoDatabase
	}
	return nil
}

var errNoDatabase = errors.New("the server has no such database, or nothing is in it: check its name, which is DocsGPT's own " +
	"MONGO_DB_NAME (up to 0.14 always docsgpt), and whether DocsGPT has been started")

// replace makes an image what was seen last.
func (s *lastSnapshot) replace(img *pass) {
	for id, r := range img.changed {
		s.records[id] = r
	}
	for id, r := range s.records {
		if r.lastPass != img.number {
			delete(s.records, id)
		}
	}
	s.fingerprint = img.fingerprint
}

// agents returns all that were seen, and keeps what is wrong with the other records.
func (f *Feed) agents() []docsgptkeys.Agent {
	all := make([]docsgptkeys.Agent, 0, len(f.last.records))
	var odd []docsgptkeys.Skipped
	for id, r := range f.last.records {
		switch {
		case r.reason != "":
			odd = append(odd, r.agent.AsSkipped(r.reason))
		case r.agent.Key.IsZero():
		case f.last.isShadowed(id):
			odd = append(odd, r.agent.AsSkipped("an agent has the same id"))
		default:
			all = append(all, r.agent)
		}
	}
	f.mu.Lock()
	f.malformed = odd
	f.mu.Unlock()
	return all
}

// isShadowed tells whether a record of api_keys has the id of an agent with a key: somebody has copied it by hand when 0.14
// came.
func (s *lastSnapshot) isShadowed(id string) bool {
	if id[0] != idPrefix(APIKeys) {
		return false
	}
	other, ok := s.records[string(idPrefix(Agents))+id[1:]]
	return ok && other.reason == "" && !other.agent.Key.IsZero()
}

// readConsistent reads the records in such a way that they are those of one moment: with the server's help, or else again and
// again until two passes in a row have met the same. before is the mark of the state that base is in, if it is known.
func (f *Feed) readConsistent(ctx context.Context, l *conn, base *lastSnapshot, before *fingerprint) (*pass, error) {
	if l.snapshots {
		img, err := f.snapshot(ctx, l, base)
		if !isSnapshotUnsupported(err) {
			return img, err
		}
		l.snapshots = false
	}
	for n := 1; ; n++ {
		img, err := f.pass(ctx, l, base)
		if err != nil || n == maxPasses || before != nil && img.fingerprint == *before {
			return img, err
		}
		before = &img.fingerprint
	}
}

// snapshot is a pass over the records as they were at one moment.
func (f *Feed) snapshot(ctx context.Context, l *conn, base *lastSnapshot) (*pass, error) {
	session, err := l.client.StartSession(options.Session().SetSnapshot(true))
	if err != nil {
		return nil, fmt.Errorf("beginning to read: %w", err)
	}
	defer session.EndSession(ctx)
	return f.pass(mongo.NewSessionContext(ctx, session), l, base)
}

// number reads the collections that count, once.
func (f *Feed) pass(ctx context.Context, l *conn, base *lastSnapshot) (*pass, error) {
	f.passCount++
	img := &pass{number: f.passCount, changed: map[string]*record{}}
	if f.options.Collection != APIKeys {
		keyed, err := f.collect(ctx, l, Agents, base, img)
		if err != nil || f.options.Collection == Agents || f.options.Collection == "" && keyed {
			return img, err
		}
	}
	_, err := f.collect(ctx, l, APIKeys, base, img)
	return img, err
}

// collections returns those that may count.
func (f *Feed) collections() []string {
	switch f.options.Collection {
	case Agents, APIKeys:
		return []string{f.options.Collection}
	default:
		return []string{Agents, APIKeys}
	}
}

var errTimeout = fmt.Errorf("reading a collection: %w", context.DeadlineExceeded)

// collect reads one collection, and tells whether there is a key in it.
func (f *Feed) collect(ctx context.Context, l *conn, name string, base *lastSnapshot, img *pass) (keyed bool, err error) {
	// Each batch has the time of one answer, so that a connection on which nothing comes any more is noticed soon.
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	late := time.AfterFunc(f.options.Timeout, func() { giveUp(errTimeout) })
	defer late.Stop()
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), errTimeout) {
			err = errTimeout
		}
	}()
	found, err := l.db.Collection(name).Find(ctx, bson.D{}, options.Find().SetProjection(projection).SetBatchSize(batchSize))
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", name, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = found.Close(ctx) // where there is more to come, the server is told to forget it
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
		if _, again := img.changed[string(id)]; again || known && r.lastPass == img.number {
			continue // met twice, since it was moved
		}
		if !known || r.hash != sum {
			r = &record{hash: sum, decoded: decode(raw)}
			img.changed[string(id)] = r
		}
		r.lastPass = img.number
		img.fingerprint.count++
		img.fingerprint.sum += maphash.Bytes(f.seed, id) ^ sum
		keyed = keyed || r.reason == "" && !r.agent.Key.IsZero()
	}
	if err := found.Err(); err != nil {
		return false, fmt.Errorf("reading %s: %w", name, err)
	}
	return keyed, nil
}
