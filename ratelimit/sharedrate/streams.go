package sharedrate

import (
	"context"
	_ "embed" // the script
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/docsgate/docsgate/ratelimit"
)

const (
	// streamLease is how long the streams of a gate count after it has ended without closing them, by the clock of the server.
	streamLease = 30 * time.Second

	// renewInterval is the interval at which a gate renews its leases, one for each key with open streams.
	renewInterval = 10 * time.Second

	// batch is the number of keys whose counts are corrected at the same time. Decisions on these keys wait meanwhile.
	batch = 64
)

//go:embed streams.lua
var streamsSource string

var streamsScript = redis.NewScript(streamsSource)

// streams is what a gate knows about its streams at the server. The counts themselves are those of the local limiter.
type streams struct {
	mu   sync.Mutex // guards keys and the fields of its values, except deciding
	keys map[string]*streamKey

	work sync.Mutex    // held while the server is informed
	wake chan struct{} // receives a value after a change
	once sync.Once     // starts run
	wg   sync.WaitGroup
}

// streamKey is a key with open streams, or with changes that the server does not know.
type streamKey struct {
	// deciding is read-locked while a stream is counted by this gate and then by the server, so that the counts are not corrected in
	// between.
	deciding sync.RWMutex

	closed    map[[16]byte]int // streams by visitor that the server still counts
	informing bool             // the server is being informed of others
	inDoubt   bool             // the server's count may be wrong
	using     int              // decisions
	changes   int              // decisions and releases
}

// Acquire is [ratelimit.Limiter.Acquire] for the streams at all gates. It takes a round trip to the server.
func (l *Limiter) Acquire(key string, visitor ratelimit.Visitor, keyStreams, visitorStreams int) (ratelimit.Slot, ratelimit.Scope) {
	l.streams.once.Do(func() { l.streams.wg.Go(l.informServer) })
	k, pending := l.enter(key)
	defer l.leave(k)
	for attempt := 1; l.conn.Available(); attempt++ {
		k.deciding.RLock()
		slot, reached, err := l.acquire(key, visitor, keyStreams, visitorStreams)
		k.deciding.RUnlock()
		if err != nil {
			l.doubt(k)
			break
		}
		// The server may still count streams of this gate that have ended. A client that sends one request after another must not be
		// rejected for that.
		if reached == ratelimit.None || attempt > 1 || !pending {
			return slot, reached
		}
		l.reportReleases(k)
	}
	l.conn.Fallback("streams")
	n := l.conn.Nodes()
	slot, reached := l.local.Acquire(key, visitor, share(keyStreams, n), share(visitorStreams, n))
	slot.OnRelease(l)
	if reached == ratelimit.None {
		l.doubt(k)
	}
	return slot, reached
}

// reportReleases waits until the server knows all streams of a key that this gate has released.
func (l *Limiter) reportReleases(k *streamKey) {
	s := &l.streams
	s.work.Lock() // until the server is informed of those that it is being informed of
	s.mu.Lock()
	pending := k.closed != nil
	s.mu.Unlock()
	s.work.Unlock()
	if pending {
		l.flush(l.ctx)
	}
}

// share returns the part of a limit of streams for one of n gates, at least one stream.
func share(limit, n int) int {
	if limit <= 0 { // no limit, or no stream
		return limit
	}
	return max(limit/n, 1)
}

// acquire counts a stream here, and then at the server.
func (l *Limiter) acquire(key string, visitor ratelimit.Visitor, keyStreams, visitorStreams int) (ratelimit.Slot, ratelimit.Scope, error) {
	own := visitorStreams
	if keyStreams != 0 {
		own = 0 // the limit of the key comes first, and only the server knows whether it is reached
	}
	slot, reached := l.local.Acquire(key, visitor, keyStreams, own)
	if reached != ratelimit.None {
		return slot, reached, nil
	}
	ids := visitor.IDs()
	args := append(l.streamArgs("acquire"), keyStreams, visitorStreams, ids.Current[:])
	for _, id := range []*[16]byte{&ids.Previous, &ids.Next} {
		if *id != [16]byte{} {
			args = append(args, id[:])
		}
	}
	result, err := l.conn.Run(context.Background(), streamsScript, l.streamKeys(key), args...)
	scope, ok := result.(int64)
	if err == nil && (!ok || scope < 0 || scope > int64(ratelimit.PerVisitor)) {
		err = errResult
	}
	if err != nil || scope != int64(ratelimit.None) {
		slot.Release()
		return slot, ratelimit.Scope(scope), err
	}
	slot.OnRelease(l)
	return slot, ratelimit.None, nil
}

// Release implements ratelimit.Releaser. The server is informed in the background.
func (l *Limiter) Release(key string, visitor [16]byte, release func()) {
	s := &l.streams
	s.mu.Lock()
	release() // with the lock, so that a correction includes both or none
	k := s.key(key)
	if k.closed == nil {
		k.closed = map[[16]byte]int{}
	}
	k.closed[visitor]++
	k.changes++
	s.mu.Unlock()
	s.notify()
}

// key returns what is known about a key. s.mu must be held.
func (s *streams) key(key string) *streamKey {
	k := s.keys[key]
	if k == nil {
		if s.keys == nil {
			s.keys = map[string]*streamKey{}
		}
		k = &streamKey{}
		s.keys[key] = k
	}
	return k
}

func (s *streams) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// enter begins a decision. pending reports whether there are released streams that the server may not know.
func (l *Limiter) enter(key string) (k *streamKey, pending bool) {
	s := &l.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	k = s.key(key)
	k.using++
	k.changes++
	return k, k.closed != nil || k.informing
}

func (l *Limiter) leave(k *streamKey) {
	l.streams.mu.Lock()
	defer l.streams.mu.Unlock()
	k.using--
}

// doubt has the server's count of a key corrected.
func (l *Limiter) doubt(k *streamKey) {
	l.streams.mu.Lock()
	k.inDoubt = true
	l.streams.mu.Unlock()
	l.streams.notify()
}

func (l *Limiter) streamKeys(key string) []string {
	tag := l.tag(key)
	return []string{l.conn.Key(tag, "streams"), l.conn.Key(tag, "visitor_streams")}
}

func (l *Limiter) streamArgs(operation string) []any {
	now := any("")
	if l.clock != nil {
		now = l.clock().UnixMilli()
	}
	return []any{operation, now, l.conn.Node(), streamLease.Milliseconds()}
}

var _ ratelimit.Releaser = (*Limiter)(nil)
