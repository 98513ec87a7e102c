package auth

import (
	"math"
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// How many wrong tokens are taken from one place, and from all: so many at once, then one in each span of time.
const (
	perClientBurst    = 10
	perClientInterval = 6 * time.Second
	globalBurst       = 200
	globalInterval    = time.Second

	maxClients = 10_000 // that are remembered
)

// limiter counts wrong tokens by where they come from. Once too many came from everywhere, a place has only one try left,
// which is enough for those who know the token. It is to be used by one at a time.
type limiter struct {
	clients *lru.Cache[string, *rate.Limiter]
	all     *rate.Limiter
}

func newLimiter() *limiter {
	places, err := lru.New[string, *rate.Limiter](maxClients)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &limiter{clients: places, all: rate.NewLimiter(rate.Every(globalInterval), globalBurst)}
}

// wait is how long a place has to wait before a token from it is looked at; 0: it is looked at now.
func (t *limiter) wait(from string, now time.Time) time.Duration {
	place, known := t.clients.Get(clientPrefix(from))
	if !known {
		return 0
	}
	need := 1.0
	if t.all.TokensAt(now) < 1 {
		need = perClientBurst // that is: no wrong token for a while
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

// clientPrefix is the network that one client may have all addresses of: with IPv6 that is a /56. Whoever has a /48, which tunnels
// give away, then has 256 places, and not more than are remembered.
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
