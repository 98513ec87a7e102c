package gateway

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/docsgate/docsgate/inflight"
	"github.com/docsgate/docsgate/inflight/shares"
	"github.com/docsgate/docsgate/sharedlimits"
)

// InFlightShares are the shares of this process of the limits in InFlight that several gates share.
var InFlightShares = shares.New(InFlight)

// shareWait is how long a request that would not wait in the queue waits for a slot which another gate may not need: longer than the other
// gates need to return it.
const shareWait = 2 * time.Second

// join shares the limits with other gates until the returned function is called.
func (l *inFlightLimits) join(conn *sharedlimits.Conn) (leave func()) {
	var leaves [classCount]func()
	for class, limits := range l.classes {
		leaves[class] = InFlightShares.Join(conn, l.upstream, inFlightNames[class], limits)
	}
	return func() {
		var calls sync.WaitGroup
		for _, leave := range leaves {
			calls.Go(leave)
		}
		calls.Wait()
	}
}

// waitForShare waits until this gate has a slot for a request that its limits would admit.
func (x *gatewayRequest) waitForShare(request *inflight.Request, class inFlightClass) inflight.Decision {
	limits := x.client.handler.inFlight.classes[class]
	limits.Waiting, limits.WaitingPerKey = max(limits.Waiting, limits.Total), max(limits.WaitingPerKey, limits.PerKey)
	defer x.client.trace.startWait(inFlightNames[class])()
	return x.client.handler.inFlight.limiter.Acquire(x.client.ctx, &x.slot.Slot, *request, limits, shareWait)
}

var (
	descShare = describe("in_flight_share", "Requests that may be in flight at this gate by class, while several gates share the limits.",
		"class")
	descShareFallback = describe("in_flight_fallback", "1 if this gate has an equal part of the limit of a class, since its share has "+
		"expired while the server of shared_limits was unavailable.", "class")
)

// shareCollector collects the state of shares. There are no series without the option shared_limits.
type shareCollector struct{ *shares.Shares }

// Describe implements prometheus.Collector.
func (shareCollector) Describe(out chan<- *prometheus.Desc) {
	out <- descShare
	out <- descShareFallback
}

// Collect implements prometheus.Collector. It adds up the shares of all upstreams.
func (c shareCollector) Collect(out chan<- prometheus.Metric) {
	share, fallback := map[string]float64{}, map[string]float64{}
	for _, s := range c.Status() {
		share[s.Class] += float64(s.Share)
		fallback[s.Class] += 0
		if s.Fallback {
			fallback[s.Class] = 1
		}
	}
	for class := range share {
		out <- prometheus.MustNewConstMetric(descShare, prometheus.GaugeValue, share[class], class)
		out <- prometheus.MustNewConstMetric(descShareFallback, prometheus.GaugeValue, fallback[class], class)
	}
}
