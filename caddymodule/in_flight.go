package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/inflight"
	"github.com/docsgate/docsgate/upstream"
)

// inFlight counts what is in flight at each upstream. It is one for the process: requests of a former configuration
// occupy DocsGPT as much as those of the current one, and so do those of another site.
var inFlight = new(inflight.Limiter)

// The limits by default. DocsGPT has 96 threads (0.19 and newer).
const (
	DefaultMaxInFlight       = 64
	DefaultMaxInFlightPerKey = 16
)

// inFlightClass is what is bounded by itself, so that none can starve another.
type inFlightClass uint8

const (
	classShort   inFlightClass = iota
	classKeyless               // short, and sent by anybody
	classAnswer
	classListen
	classCount
)

// inFlightNames are the classes in metrics and in the counts.
var inFlightNames = [classCount]string{"short", "keyless", "answer", "listen"}

const (
	// shortWait is how long a short request waits for its turn. Search widgets of many visitors send a request with each
	// key that is pressed, so they come in bursts; DocsGPT takes some hundredths of a second for each.
	shortWait = 5 * time.Second

	// maxWaitingBody is the largest body, in bytes, of a request that waits: what waits lies in memory.
	maxWaitingBody = 64 << 10

	// abandonedHold is for how long an answer that its client has abandoned goes on to be in flight. DocsGPT goes on with
	// it, on the same thread, and nothing tells when it is done.
	abandonedHold = time.Minute
)

// inFlightLimits are a handler's limits. They are read-only once they are provisioned.
type inFlightLimits struct {
	limiter  *inflight.Limiter
	upstream string // the address; empty with a next handler
	classes  [classCount]inflight.Limits
}

// provision works out the limits of all classes from the two for answers; 0 is the default. The shares of the short
// ones are the last third of DocsGPT's threads, if those for answers are two thirds.
func (l *inFlightLimits) provision(total, perKey int) {
	if total == 0 {
		total = DefaultMaxInFlight
	}
	if perKey == 0 {
		perKey = min(DefaultMaxInFlightPerKey, total)
	}
	l.limiter = inFlight
	l.classes[classAnswer] = inflight.Limits{Total: total, PerKey: perKey}
	short := max(total*3/8, maxConcurrentSearches)
	l.classes[classShort] = inflight.Limits{
		Total: short, PerKey: min(max(perKey/2, maxConcurrentSearches), short), Waiting: 4 * total, WaitingPerKey: 4 * perKey,
	}
	keyless := max(total/8, 2)
	l.classes[classKeyless] = inflight.Limits{Total: keyless, PerKey: keyless, Waiting: total, WaitingPerKey: total}
	l.classes[classListen] = inflight.Limits{Total: 4 * total, PerKey: 4 * perKey}
}

// checkInFlight refuses limits that cannot be meant; 0 is the default.
func checkInFlight(total, perKey int) error {
	if total == 0 {
		total = DefaultMaxInFlight
	}
	switch {
	case total < 0:
		return errors.New("max_in_flight is negative")
	case perKey < 0:
		return errors.New("max_in_flight_per_key is negative")
	case total > maxCount:
		return fmt.Errorf("max_in_flight is above %d", maxCount)
	case perKey > total:
		return fmt.Errorf("max_in_flight_per_key %d is above max_in_flight %d", perKey, total)
	}
	return nil
}

var (
	tooManyStreams = refuseLater(http.StatusTooManyRequests, "too_many_streams", "5",
		"Too many requests are being answered at the moment. Please try again in a few seconds.")
	overloaded = refuseLater(http.StatusServiceUnavailable, "overloaded", "5",
		"This service is busy. Please try again in a few seconds.")
	// 499 is what Caddy notes for a client that has closed its connection; no client reads it.
	goneWhileWaiting = newError(499, "client_gone", "The client is gone.")
)

func refuseLater(status int, code, after, message string) *apiError {
	no := newError(status, code, message)
	no.RetryAfter = after
	return no
}

// inFlightClass returns the class of a request that is otherwise accepted.
func (x *gatewayRequest) inFlightClass() inFlightClass {
	class := x.endpoint.Class
	if x.endpoint.Group == docsgpt.GroupMCP && x.endpoint.Body == docsgpt.BodyJSON {
		class = x.call.Class()
	}
	switch {
	case class == docsgpt.ClassAnswer:
		return classAnswer
	case class == docsgpt.ClassListen:
		return classListen
	case x.key == nil:
		return classKeyless
	default:
		return classShort
	}
}

// takeSlot counts a request, which is accepted otherwise, as in flight, or rejects it because too many are. A short one
// waits a moment for its turn.
func (x *gatewayRequest) takeSlot() *apiError {
	class := x.inFlightClass()
	limits := &x.handler.inFlight
	request := inflight.Request{Upstream: limits.upstream, Class: inFlightNames[class], Key: x.keyID()}
	if x.isFanOut() {
		request.Weight = min(len(x.key.Binding.Sources), maxConcurrentSearches)
	}
	wait := shortWait
	if x.buffer != nil && cap(x.buffer.Bytes) > maxWaitingBody {
		wait = 0
	}
	var no *apiError
	switch limits.limiter.Acquire(x.ctx, &x.slot, request, limits.classes[class], wait) {
	case inflight.Acquired:
		return nil
	case inflight.Cancelled:
		if errors.Is(x.aborted(), errShuttingDown) {
			return shuttingDown
		}
		return goneWhileWaiting
	case inflight.KeyLimit:
		if no = tooManyStreams; class == classKeyless {
			no = overloaded
		}
	case inflight.TotalLimit:
		no = overloaded
	}
	if skipped, due := x.handler.trouble.allow(sampleKey{no.Code, x.keyID()}, time.Now()); due {
		x.handler.logger.Warn("too many requests in flight", zap.String("code", no.Code),
			zap.String("class", inFlightNames[class]), zap.String("endpoint", x.endpointName()),
			zap.String("key", x.keyID()), zap.Int("suppressed", skipped))
	}
	return no
}

// noteEnd notes how the response of the upstream ended: regularly (nil), or why not. A short request is over then, even
// if its client does not read the response.
func (x *gatewayRequest) noteEnd(err error) {
	switch {
	case err == nil, errors.Is(err, errStopReading):
		if x.endpoint.Class == docsgpt.ClassShort {
			x.slot.Release()
		}
	case x.aborted() != nil:
		x.abandoned = true
	case errors.Is(err, upstream.ErrTruncated), errors.Is(err, upstream.ErrUnavailable), errors.Is(err, errNoHandler):
	default: // it was the gate that ended it: the upstream takes too long, or the client takes nothing
		x.abandoned = true
	}
}

// releaseSlot ends being in flight. It comes after the connection to the upstream was closed, or is free for the next
// request.
func (x *gatewayRequest) releaseSlot() {
	if x.abandoned && x.endpoint.Class == docsgpt.ClassAnswer && !x.endpoint.Download &&
		x.handler.app.version.FinishesAbandoned {
		x.slot.ReleaseAfter(abandonedHold)
		return
	}
	x.slot.Release()
}

var (
	descInFlight = describe("requests_in_flight", "Requests at DocsGPT by class, with those that their clients have "+
		"abandoned and DocsGPT goes on with.", "class")
	descWaiting = describe("requests_waiting", "Requests that wait until fewer are in flight, by class.", "class")
)

// inFlightCollector reads the counts when it is asked for metrics.
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
