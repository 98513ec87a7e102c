package ratelimit_test

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/docsgate/docsgate/ratelimit"
)

func Example() {
	limiter, salt := ratelimit.New(0), new(ratelimit.Salt)
	keyRate, err := ratelimit.ParseRate("600/1m")
	if err != nil {
		panic(err)
	}
	visitorRate := ratelimit.Rate{Count: 2, Per: time.Minute}

	now := time.Now()
	visitor := salt.VisitorID(now, "docs-site", netip.MustParseAddr("2001:db8::1"))
	for range 3 {
		d := limiter.Allow(now, "docs-site", visitor, keyRate, visitorRate)
		fmt.Println(d.Allowed(), d.Rate, d.Remaining, d.Reset, d.RetryAfter)
	}

	slot, limit := limiter.Acquire("docs-site", visitor, 50, 2)
	if limit == ratelimit.None {
		defer slot.Release()
	}
	fmt.Println(limit == ratelimit.None)

	// Output:
	// true 2/1m 1 30s 0s
	// true 2/1m 0 1m0s 0s
	// false 2/1m 0 1m0s 30s
	// true
}
