package auth

import (
	"math"
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// Token buckets for wrong tokens, per client and in total: the burst, and the interval in which one token is refilled.
const (
	perClientBurst    = 10
	perClientInterval = 6 * time.Second
	globalBurst       = 200
	globalInterval    = time.Second

	maxClients = 10_000 // in the LRU cache
)

// limiter limits the rate of wrong tokens per client prefix and in total. When the total is exhausted, each client has a single
// attempt left, which is enough for one that knows the token. Not safe for concurrent use.
type limiter struct {
	clients *lru.Cache[string, *rate.Limiter]
	all     *rate.Limiter
}

func newLimiter() *limiter {
	places, err := lru.New[string, *rate.Limiter](maxClients)
	if err != nil {
		panic(err) // only if the size is not positive
	}
	return &limiter{clients: places, all: rate.NewLimiter(rate.Every(globalInterval), globalBurst)}
}

// wait returns how long a client has to wait until its next token is checked; 0: it is checked now.
func (t *limiter) wait(from string, now time.Time) time.Duration {
	place, known := t.clients.Get(clientPrefix(from))
	if !known {
		return 0
	}
	need := 1.0
	if t.all.TokensAt(now) < 1 {
		need = perClientBurst // a full bucket: no recent wrong token
	}
	lack := need - place.TokensAt(now)
	if lack <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(lack*perClientInterval.Seconds())) * time.Second
}

// failed counts a wrong token.
func (t *limiter) failed(from string, now time.Time) {
	name := clientPrefix(from)
	place, known := t.clients.Get(name)
	if !known {
		place = rate.NewLimiter(rate.Every(perClientInterval), perClientBurst)
		t.clients.Add(name, place)
	}
	place.AllowN(now, 1)
	t.all.AllowN(now, 1)
}

// clientPrefix returns the network that one client can own: the address for IPv4, the /56 for IPv6. A /48, as tunnel brokers
// assign it, then has 256 buckets, far fewer than the cache holds.
func clientPrefix(from string) string {
	ip, err := netip.ParseAddr(from)
	if err != nil {
		return ""
	}
	if ip = ip.Unmap(); ip.Is4() {
		return ip.String()
	}
	network, err := ip.WithZone("").Prefix(56)
	if err != nil {
		return ""
	}
	return network.String()
}
