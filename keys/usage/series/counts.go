package series

import (
	"sort"
	"time"
)

// Field is the index of a number in Counts. Storages store it, so its value must not change.
type Field uint8

// A request of a known key is either rejected, or counted in Requests. Of the latter some have failed or were aborted.
const (
	Requests          Field = iota // passed on to DocsGPT, or answered by the gate
	Failed                         // of these: DocsGPT has not responded, or with an error, or not completely
	Aborted                        // of these: the client has disconnected, or the gate has ended the request
	RejectedKey                    // the key is not valid
	RejectedPolicy                 // the policy or the binding of the key does not allow the request
	RejectedLimit                  // over a limit of the key, the visitor or the site
	RejectedBusy                   // too many requests in flight, or the gate or its upstream is not ready
	RejectedRequest                // the request is not valid, or it names what the key does not own
	Streams                        // responses that were streams
	BytesReceived                  // of request bodies that were passed on
	BytesSent                      // of response bodies
	Answers                        // complete answers to questions
	WithoutSources                 // of these: answers that name no source
	Dislikes                       // ratings of answers
	Tokens                         // of answers, as DocsGPT says
	EstimatedTokens                // of answers whose number of tokens is not known
	FirstEventMillis               // sum of the times from the request to the first event of a stream
	AnswerMillis                   // sum of the times from the request to the end of a complete answer
	firstEventBuckets              // and following
	answerBuckets     = firstEventBuckets + buckets
	Fields            = answerBuckets + buckets // number of fields
)

// Rejections are the fields of rejected requests.
var Rejections = [...]Field{RejectedKey, RejectedPolicy, RejectedLimit, RejectedBusy, RejectedRequest}

// bounds are the upper bounds of the buckets of a histogram. The last bucket has none.
var bounds = [buckets - 1]time.Duration{
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
	15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
}

const buckets = 13

// Counts are the counts of a bucket.
type Counts [Fields]uint64

// Add adds other counts.
func (c *Counts) Add(other *Counts) {
	for i, n := range other {
		c[i] += n
	}
}

// IsZero reports whether nothing is counted.
func (c *Counts) IsZero() bool { return *c == Counts{} }

// Rejected returns the number of rejected requests.
func (c *Counts) Rejected() (n uint64) {
	for _, f := range Rejections {
		n += c[f]
	}
	return n
}

// Total returns the number of all requests.
func (c *Counts) Total() uint64 { return c[Requests] + c.Rejected() }

// Succeeded returns the number of requests that neither failed nor were aborted or rejected.
func (c *Counts) Succeeded() uint64 { return c[Requests] - min(c[Requests], c[Failed]+c[Aborted]) }

// AddFirstEvent counts the time to the first event of a stream.
func (c *Counts) AddFirstEvent(d time.Duration) { c.addTime(FirstEventMillis, firstEventBuckets, d) }

// AddAnswer counts a complete answer and its time.
func (c *Counts) AddAnswer(d time.Duration) {
	c[Answers]++
	c.addTime(AnswerMillis, answerBuckets, d)
}

func (c *Counts) addTime(sum, first Field, d time.Duration) {
	d = max(d, 0)
	c[sum] += uint64(d.Milliseconds())
	c[int(first)+sort.Search(len(bounds), func(i int) bool { return d <= bounds[i] })]++
}

// FirstEvent returns the distribution of the times to the first event.
func (c *Counts) FirstEvent() Times { return c.times(FirstEventMillis, firstEventBuckets) }

// AnswerTime returns the distribution of the times of complete answers.
func (c *Counts) AnswerTime() Times { return c.times(AnswerMillis, answerBuckets) }

func (c *Counts) times(sum, first Field) Times {
	t := Times{Sum: time.Duration(c[sum]) * time.Millisecond}
	copy(t.buckets[:], c[first:first+buckets])
	for _, n := range t.buckets {
		t.Count += n
	}
	return t
}

// Times is a distribution of times.
type Times struct {
	Count   uint64
	Sum     time.Duration
	buckets [buckets]uint64
}

// Quantile estimates a quantile: it is exact to the bucket of a histogram, and interpolated within. Times above the largest bound of a
// bucket count as that, 5 minutes. It is 0 without times.
func (t *Times) Quantile(q float64) time.Duration {
	rank := q * float64(t.Count)
	below, seen := time.Duration(0), 0.0
	for i, bound := range bounds {
		if n := float64(t.buckets[i]); n > 0 && seen+n >= rank {
			return below + time.Duration(float64(bound-below)*(rank-seen)/n)
		}
		seen += float64(t.buckets[i])
		below = bound
	}
	if t.Count == 0 {
		return 0
	}
	return below
}
