package gateway

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/ratelimit"
)

// limitHeader has the memory of the values of the headers RateLimit and RateLimit-Policy of one response. It is part of the memory of
// the request: handlers such as Caddy's header modify the values of headers in place, so responses must not share them.
type limitHeader struct {
	policy, limit [1]string
	remaining     int64 // in the header RateLimit, if it is set
}

// limitName is a limit in the headers.
type limitName uint8

// The limits of rates and of quotas.
const (
	limitOfKey limitName = iota
	limitOfVisitor
	limitOfQuestionsPerDay
	limitOfQuestionsPerMonth
	limitOfTokensPerDay
)

// limitNames are the names of the limits, as the headers quote them.
var limitNames = [...]string{
	limitOfKey: `"key"`, limitOfVisitor: `"visitor"`,
	limitOfQuestionsPerDay:   strconv.Quote(quota.QuestionsPerDay.String()),
	limitOfQuestionsPerMonth: strconv.Quote(quota.QuestionsPerMonth.String()),
	limitOfTokensPerDay:      strconv.Quote(quota.TokensPerDay.String()),
}

// setLimitHeaders sets the headers as the IETF's draft specifies them: most and per are the limit, remaining is what is left of it until
// the limit is reset.
func (c *client) setLimitHeaders(name limitName, most int64, per time.Duration, remaining int64, reset time.Duration) {
	l := &c.limitHeader
	l.policy[0] = policyValues.get(limitValue{name, most, ceilSeconds(per)})
	l.limit[0] = remainingValues.get(limitValue{name, remaining, ceilSeconds(reset)})
	l.remaining = remaining
	h := c.w.Header()
	h["Ratelimit-Policy"], h["Ratelimit"] = l.policy[:], l.limit[:]
}

// setRateHeaders sets the headers to a rate, if there is one.
func (c *client) setRateHeaders(d *ratelimit.Decision) {
	if d.Limit == ratelimit.None {
		return
	}
	name := limitOfKey
	if d.Limit == ratelimit.PerVisitor {
		name = limitOfVisitor
	}
	reset := d.Reset
	if d.RetryAfter > 0 {
		reset = d.RetryAfter
	}
	c.setLimitHeaders(name, int64(d.Rate.Count), d.Rate.Per, int64(d.Remaining), reset)
}

// setQuotaHeaders sets the headers to the tightest quota, unless those of a rate are tighter.
func (c *client) setQuotaHeaders(d *quota.Decision) {
	isSet := c.limitHeader.limit[0] != ""
	if d.Tightest == quota.None || d.Rejected == quota.None && isSet && c.limitHeader.remaining <= d.Remaining {
		return
	}
	name := limitOfQuestionsPerDay
	switch d.Tightest {
	case quota.QuestionsPerMonth:
		name = limitOfQuestionsPerMonth
	case quota.TokensPerDay:
		name = limitOfTokensPerDay
	case quota.QuestionsPerDay, quota.None:
	}
	reset := d.Reset.Sub(c.started)
	if d.InFlight {
		reset = streamsRetry
	}
	c.setLimitHeaders(name, d.Max, d.Reset.Sub(d.Start), d.Remaining, reset)
}

// limitValue are the numbers of a header's value: a count, and a time in seconds.
type limitValue struct {
	name           limitName
	count, seconds int64
}

// valueCache remembers texts of values. Few are in use at the same time: there are not many limits, and what remains of a limit
// determines when it is reset. So most requests need no memory for them.
type valueCache struct {
	format func(limitValue) string
	slots  [1 << valueCacheBits]atomic.Pointer[cachedValue]
}

// valueCacheBits is the size of a valueCache as a power of two. It needs at most 100 KB.
const valueCacheBits = 10

// cachedValue is never changed.
type cachedValue struct {
	limitValue
	text string
}

var (
	policyValues    = valueCache{format: formatPolicyValue}
	remainingValues = valueCache{format: formatRemainingValue}
)

func (c *valueCache) get(v limitValue) string {
	slot := &c.slots[v.hash()]
	if cached := slot.Load(); cached != nil && cached.limitValue == v {
		return cached.text
	}
	text := c.format(v)
	slot.Store(&cachedValue{v, text})
	return text
}

// hash returns a number of valueCacheBits bits. Values that follow each other, such as the remaining requests of one visitor, differ.
func (v limitValue) hash() uint64 {
	const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio, as in Fibonacci hashing
	return (uint64(v.count)*golden ^ uint64(v.seconds)<<8 ^ uint64(v.name)) * golden >> (64 - valueCacheBits)
}

func formatPolicyValue(v limitValue) string {
	unit := ""
	if v.name == limitOfTokensPerDay {
		unit = `;qu="tokens"`
	}
	return limitNames[v.name] + ";q=" + strconv.FormatInt(v.count, 10) + unit + ";w=" + strconv.FormatInt(v.seconds, 10)
}

func formatRemainingValue(v limitValue) string {
	return limitNames[v.name] + ";r=" + strconv.FormatInt(v.count, 10) + ";t=" + strconv.FormatInt(v.seconds, 10)
}

// ceilSeconds returns a time in seconds, rounded up.
func ceilSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// retryAfter returns the value of the header Retry-After.
func retryAfter(d time.Duration) string { return strconv.FormatInt(ceilSeconds(d), 10) }
