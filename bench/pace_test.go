package main

import (
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// All requests are sent, although each takes longer than the interval, and the latency of those that had to wait includes the wait.
func TestPaced(t *testing.T) {
	var sent, late atomic.Int64
	n := paced(t.Context(), 1000, 100*time.Millisecond, 2, func(_ int, began time.Time) {
		time.Sleep(5 * time.Millisecond)
		if sent.Add(1); time.Since(began) > 50*time.Millisecond {
			late.Add(1)
		}
	})
	if n != 100 || sent.Load() != 100 || late.Load() == 0 {
		t.Errorf("%d requests, %d sent, %d late; want 100 of them, and late ones", n, sent.Load(), late.Load())
	}
}

func TestQuantile(t *testing.T) {
	numbers := []float64{1, 2, 3, 4}
	for q, want := range map[float64]float64{0: 1, 0.5: 3, 0.99: 4, 1: 4} {
		if got := quantile(numbers, q); got != want {
			t.Errorf("quantile %g is %g, want %g", q, got, want)
		}
	}
	if got := quantile(nil, 0.5); got != 0 {
		t.Errorf("quantile of nothing is %g", got)
	}
}

// A load with a rate reports latencies, and the delay of events of the upstream.
func TestTimedScenario(t *testing.T) {
	server := httptest.NewServer(newStub())
	defer server.Close()
	l := &load{
		plan:     workload{Address: server.Listener.Addr().String(), Proxy: plain, Requests: 4, Connections: 2, Rate: 1000},
		scenario: &timedScenario, expect: timedScenario.expect(plain),
	}
	defer l.close()
	l.run(t.Context())
	if o := l.outcome; o.Valid != 4 || o.P50 <= 0 || o.P99 < o.P50 || o.Delay <= 0 || o.Delay > o.P50 {
		t.Errorf("outcome %+v", o)
	}
}
