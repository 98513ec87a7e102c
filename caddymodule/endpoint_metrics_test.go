package caddymodule_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
)

// The bytes and the streams of an endpoint are counted, rejected requests included, with no more series than endpoints.
func TestMetricsOfEndpoints(t *testing.T) {
	upstream := func(w http.ResponseWriter, _ *http.Request) {
		writeParts(w, "text/event-stream", 0, widgetAnswer, widgetEnd)
	}
	eachForwarding(t, "", upstream, func(t *testing.T, g *gate) {
		value := func(name string) float64 {
			n, _ := strconv.ParseFloat(g.metric(fmt.Sprintf(`caddy_docsgate_%s{endpoint="stream"} `, name)), 64)
			return n
		}
		received, sent, streams := value("received_bytes_total"), value("sent_bytes_total"), value("stream_duration_seconds_count")
		r := g.ask("/stream", tokenAgent, "q", "")
		if n := value("sent_bytes_total") - sent; n != float64(len(r.body)) {
			t.Errorf("%g bytes are sent, want %d", n, len(r.body))
		}
		passed := value("received_bytes_total") - received
		if passed < 30 || passed > 1000 {
			t.Errorf("%g bytes are received", passed)
		}
		if n := value("stream_duration_seconds_count") - streams; n != 1 {
			t.Errorf("%g streams, want 1", n)
		}
		sent = value("sent_bytes_total")
		r = g.ask("/stream", "unknown", "q", "")
		if n := value("sent_bytes_total") - sent; n != float64(len(r.body)) {
			t.Errorf("%g bytes of an error are sent, want %d", n, len(r.body))
		}
		if n := value("received_bytes_total") - received; n != passed {
			t.Errorf("%g bytes of a rejected request are received", n-passed)
		}
		if n := value("stream_duration_seconds_count") - streams; n != 1 {
			t.Errorf("%g streams after a rejected request, want 1", n)
		}
	})
}
