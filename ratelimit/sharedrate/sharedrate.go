// Package sharedrate limits requests and concurrent streams by counters that several gates share through Redis or Valkey.
//
// [Limiter] decides as a [ratelimit.Limiter] does. While the server is unavailable each gate applies its share of each limit, so the gates
// together allow at most the limit again.
package sharedrate

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/docsgate/docsgate/ratelimit"
	"github.com/docsgate/docsgate/sharedlimits"
)

// maxVisitors is the number of visitors of a key and a rate that the server stores. Their memory expires when they are idle.
const maxVisitors = ratelimit.DefaultMaxVisitors / 4

// slots is the number of rates of visitors that a key has at the same time.
const slots = 4

//go:embed rates.lua
var ratesSource string

var ratesScript = redis.NewScript(ratesSource)

// Limiter limits requests and streams over all gates. It is safe for concurrent use. Create one with New.
type Limiter struct {
	conn    *sharedlimits.Conn
	backend string
	local   *ratelimit.Limiter

	visitors int              // maxVisitors
	clock    func() time.Time // nil: the clock of the server

	streams streams
	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	remove  func() // the hook of conn
}

// New returns a limiter for the keys of a backend. backend may be empty. Requests are counted by local while the server is unavailable,
// streams also while it is available. Close must be called before conn is closed.
func New(conn *sharedlimits.Conn, backend string, local *ratelimit.Limiter) *Limiter {
	l := &Limiter{conn: conn, backend: backend, local: local, visitors: maxVisitors, streams: streams{wake: make(chan struct{}, 1)}}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.remove = conn.OnAvailable(l.recount)
	return l
}

// Close informs the server about released streams. Open ones count until their lease expires. The limiter may still be used; it does not
// inform the server any more.
func (l *Limiter) Close() {
	l.remove()
	l.stop()
	l.streams.once.Do(func() {}) // not started: never start
	l.streams.wg.Wait()
	l.flush(context.Background())
}

// ShareVisitors makes the visitors of a salt the same at all gates. It takes some nanoseconds if they are, so it may be called for each
// request.
func (l *Limiter) ShareVisitors(salt *ratelimit.Salt) {
	if s := l.conn.Secrets(); s != nil {
		salt.Share(&ratelimit.SharedSecrets{Day: s.Day, Previous: s.Previous, Current: s.Current, Next: s.Next})
	}
}

// Allow is [ratelimit.Limiter.Allow] for the requests at all gates, by the clock of the server. now is the time for a decision by the
// share of this gate. It takes a round trip to the server if there is a rate.
func (l *Limiter) Allow(now time.Time, key string, visitor ratelimit.Visitor, keyRate, visitorRate ratelimit.Rate) ratelimit.Decision {
	if keyRate.IsZero() && visitorRate.IsZero() {
		return ratelimit.Decision{}
	}
	keyRate, visitorRate = keyRate.Clamp(), visitorRate.Clamp()
	if d, err := l.decide(key, visitor, keyRate, visitorRate); err == nil {
		return d
	}
	l.conn.Fallback("requests")
	n := l.conn.Nodes()
	return l.local.Allow(now, key, visitor, keyRate.Share(n), visitorRate.Share(n))
}

var errResult = errors.New("the result of a script is malformed")

// decide decides by the counters of all gates.
func (l *Limiter) decide(key string, visitor ratelimit.Visitor, keyRate, visitorRate ratelimit.Rate) (ratelimit.Decision, error) {
	if !l.conn.Available() {
		return ratelimit.Decision{}, sharedlimits.ErrUnavailable
	}
	tag := l.tag(key)
	keys := make([]string, 1, 1+2*slots)
	keys[0] = l.conn.Key(tag, "rate")
	args := make([]any, 0, 15)
	if l.clock != nil {
		now := l.clock()
		args = append(args, now.Unix(), now.Nanosecond())
	} else {
		args = append(args, "", "")
	}
	args = appendRate(appendRate(append(args, l.visitors), keyRate), visitorRate)
	if !visitorRate.IsZero() {
		for _, name := range []string{"visitors", "idle"} {
			for slot := range slots {
				keys = append(keys, l.conn.Key(tag, name+string(rune('1'+slot))))
			}
		}
		ids := visitor.IDs()
		args = append(args, ids.Day, known(&ids.Previous), ids.Current[:], known(&ids.Next))
	}
	result, err := l.conn.Run(context.Background(), ratesScript, keys, args...)
	if err != nil {
		return ratelimit.Decision{}, err
	}
	values, ok := result.([]any)
	if !ok || len(values) != 4 {
		return ratelimit.Decision{}, errResult
	}
	var numbers [4]int64
	for i := range numbers {
		if numbers[i], ok = values[i].(int64); !ok {
			return ratelimit.Decision{}, errResult
		}
	}
	return ratelimit.Decide(keyRate, visitorRate, ratelimit.Counter{NS: numbers[0], Frac: uint32(numbers[1])},
		ratelimit.Counter{NS: numbers[2], Frac: uint32(numbers[3])}), nil
}

// tag returns the tag of the keys of a key, which is in no other backend.
func (l *Limiter) tag(key string) string {
	if l.backend == "" {
		return key
	}
	return l.backend + "/" + key // IDs of keys have no slash
}

func appendRate(args []any, r ratelimit.Rate) []any {
	if r.IsZero() {
		return append(args, 0, 0, 0, 0)
	}
	per, count := int64(r.Per), int64(r.Count)
	return append(args, count, per, per/count, per%count)
}

// known returns an ID, or nothing if it is zero.
func known(id *[16]byte) []byte {
	if *id == [16]byte{} {
		return nil
	}
	return id[:]
}
