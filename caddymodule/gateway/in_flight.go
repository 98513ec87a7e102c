package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/inflight"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/upstream"
)

// InFlight counts the requests in flight at each upstream. It is global, since requests of old configurations, of other sites and
// of other backends use the same threads of DocsGPT.
var InFlight = new(inflight.Limiter)

// Defaults of Handler.MaxInFlight and Handler.MaxInFlightPerKey. DocsGPT 0.19 and newer has 96 threads.
const (
	DefaultMaxInFlight       = 64
	DefaultMaxInFlightPerKey = 16
)

// inFlightClass is a class of requests with a limit of its own, so that no class can starve another.
type inFlightClass uint8

const (
	classShort   inFlightClass = iota
	classKeyless               // short, from clients without a key
	classAnswer
	classListen
	classCount
)

// inFlightNames are the names of the classes in metrics and in counts.
var inFlightNames = [classCount]string{"short", "keyless", "answer", "listen"}

// abandonedHold is how long a request still counts as in flight after its client has disconnected, unless its answer is
// canceled. DocsGPT continues to generate the answer, and the gate cannot know when it is done. A longer time would let
// visitors who leave early use up the limit of an honest key.
const abandonedHold = 30 * time.Second

// inFlightLimits are a handler's limits. They are read-only after provision.
type inFlightLimits struct {
	limiter  *inflight.Limiter
	upstream string // address; without one, the next handler forwards
	classes  [classCount]inflight.Limits

	queueTimeout time.Duration // how long an answer waits
}

// provision derives the limits of all classes from the two for answers; 0 is the default. By default, answers get two
// thirds of DocsGPT's threads and short requests the rest. queue is the number of answers that may wait.
func (l *inFlightLimits) provision(total, perKey, queue int) {
	if total == 0 {
		total = DefaultMaxInFlight
	}
	if perKey == 0 {
		perKey = min(DefaultMaxInFlightPerKey, total)
	}
	l.limiter = InFlight
	l.classes[classAnswer] = inflight.Limits{Total: total, PerKey: perKey, Waiting: queue, WaitingPerKey: queue}
	short := max(total*3/8, maxConcurrentSearches)
	l.classes[classShort] = inflight.Limits{
		Total: short, PerKey: min(max(perKey/2, maxConcurrentSearches), short), Waiting: 4 * total, WaitingPerKey: 4 * perKey,
	}
	keyless := max(total/8, 2)
	l.classes[classKeyless] = inflight.Limits{Total: keyless, PerKey: keyless, Waiting: total, WaitingPerKey: total}
	l.classes[classListen] = inflight.Limits{Total: 4 * total, PerKey: 4 * perKey}
}

// checkInFlight validates the limits; 0 is the default.
func checkInFlight(total, perKey int) error {
	if total == 0 {
		total = DefaultMaxInFlight
	}
	switch {
	case total < 0:
		return errors.New("max_in_flight must not be negative")
	case perKey < 0:
		return errors.New("max_in_flight_per_key must not be negative")
	case total > maxCount:
		return fmt.Errorf("max_in_flight must be at most %d", maxCount)
	case perKey > total:
		return fmt.Errorf("max_in_flight_per_key %d must not be above max_in_flight %d", perKey, total)
	}
	return nil
}

// streamsRetry is the value of Retry-After for requests that wait for others to end. The gate cannot know when.
const streamsRetry = 5 * time.Second

var (
	errTooManyStreams = newRetryableError(http.StatusTooManyRequests, "too_many_streams", retryAfter(streamsRetry),
		"Too many requests are being answered at the moment. Please try again in a few seconds.")
	errOverloaded = newRetryableError(http.StatusServiceUnavailable, "overloaded", "5",
		"This service is busy. Please try again in a few seconds.")
	// 499 is the status that Caddy logs for a client that has closed its connection; no client reads it.
	errClientGone = newError(499, "client_gone", "The client has disconnected.")
)

// inFlightClassOf returns the class of an authorized request. key is nil if the endpoint takes no token.
func inFlightClassOf(e *endpoint, key *keys.Key, access *authorization) inFlightClass {
	class := e.Class
	if access.call.Method != "" {
		class = access.call.Class()
	}
	switch {
	case class == docsgpt.ClassAnswer:
		return classAnswer
	case class == docsgpt.ClassListen:
		return classListen
	case key == nil:
		return classKeyless
	default:
		return classShort
	}
}

// slot is the slot in flight of a request. The zero value holds none.
type slot struct {
	inflight.Slot
	short     bool // it is released when the response of DocsGPT is complete, even if the client is still reading
	continues bool // DocsGPT continues to generate an abandoned answer
	abandoned bool // DocsGPT may still work on the request after the gate ended it
}

// noteEnd records how the upstream response ended; err is nil if it is complete. aborted is the result of client.aborted.
func (s *slot) noteEnd(err, aborted error) {
	switch {
	case err == nil, errors.Is(err, errStopReading):
		if s.short {
			s.Release()
		}
	case aborted != nil:
		s.abandoned = true
	case errors.Is(err, upstream.ErrTruncated), errors.Is(err, upstream.ErrUnavailable), errors.Is(err, errNoHandler),
		isNextRejection(err):
	default: // the gate ended it: the upstream timed out, or writing to the client failed
		s.abandoned = true
	}
}

// release ends the slot. It is called after the upstream connection was closed, or returned to the pool.
func (s *slot) release() {
	if s.abandoned && s.continues {
		s.ReleaseAfter(abandonedHold)
		return
	}
	s.Release()
}

var (
	descInFlight = describe("requests_in_flight", "Requests in flight at DocsGPT by class. Answers whose clients "+
		"have disconnected count until they are canceled, at most 30 seconds, since DocsGPT continues to generate them.", "class")
	descWaiting = describe("requests_waiting", "Requests that wait for a free slot, by class.", "class")
)

// inFlightCollector collects the counts of a limiter.
type inFlightCollector struct{ *inflight.Limiter }

// Describe implements prometheus.Collector.
func (inFlightCollector) Describe(out chan<- *prometheus.Desc) {
	out <- descInFlight
	out <- descWaiting
}

// Collect implements prometheus.Collector.
func (c inFlightCollector) Collect(out chan<- prometheus.Metric) {
	counts := map[string]inflight.Count{}
	for _, n := range c.Counts() {
		sum := counts[n.Class]
		counts[n.Class] = inflight.Count{InFlight: sum.InFlight + n.InFlight, Waiting: sum.Waiting + n.Waiting}
	}
	for _, class := range inFlightNames {
		count := counts[class]
		out <- prometheus.MustNewConstMetric(descInFlight, prometheus.GaugeValue, float64(count.InFlight), class)
		out <- prometheus.MustNewConstMetric(descWaiting, prometheus.GaugeValue, float64(count.Waiting), class)
	}
}
