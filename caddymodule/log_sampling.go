package caddymodule

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
)

// logSampler limits how often the same is logged: once per code, key (or address) and interval, with how often it happened.
type logSampler struct {
	mu   sync.Mutex
	seen map[sampleKey]*sampleState
}

type sampleKey struct{ code, key string }

type sampleState struct {
	logged  time.Time
	skipped int
}

const (
	// troubleInterval is the shortest time between two log lines about the same trouble.
	troubleInterval = 10 * time.Second
	// maxSampleKeys is how many kinds of trouble are told apart before all are forgotten.
	maxSampleKeys = 1000
)

// allow tells whether to log now, and how many times the same was not logged since.
func (t *logSampler) allow(what sampleKey, now time.Time) (skipped int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil || len(t.seen) >= maxSampleKeys {
		t.seen = map[sampleKey]*sampleState{}
	}
	count := t.seen[what]
	if count == nil {
		count = &sampleState{}
		t.seen[what] = count
	}
	if now.Sub(count.logged) < troubleInterval {
		count.skipped++
		return 0, false
	}
	skipped, count.skipped, count.logged = count.skipped, 0, now
	return skipped, true
}

// logUpstreamError counts and logs what went wrong upstream. cause may be nil.
func (x *gatewayRequest) logUpstreamError(r *docsgpt.Error, status int, cause error) {
	if errors.Is(cause, errShuttingDown) {
		return // no fault of the upstream
	}
	upstreamFailures.WithLabelValues(x.endpointName(), r.Code).Inc()
	skipped, ok := x.handler.trouble.allow(sampleKey{r.Code, x.keyID()}, time.Now())
	if !ok {
		return
	}
	fields := []zap.Field{
		zap.String("endpoint", x.endpointName()), zap.String("code", r.Code), zap.String("key", x.keyID()),
		zap.String("request_id", x.requestID()), zap.Int("suppressed", skipped),
	}
	if status != 0 {
		fields = append(fields, zap.Int("upstream_status", status))
	}
	if cause != nil {
		fields = append(fields, zap.Error(cause))
	}
	level, message := zap.ErrorLevel, "DocsGPT did not answer as it should"
	if r.Status < http.StatusInternalServerError {
		level, message = zap.InfoLevel, "DocsGPT did not accept the request" // its limits, or the client's mistake
	}
	if r.Code == docsgpt.CodeUpstreamRefused {
		cause := "the upstream credential: " + x.credentialName() +
			" is not valid in DocsGPT (or DocsGPT's database is away); the client's key is good"
		if status == http.StatusBadRequest { // its answer to both is the same
			cause += "; if this comes from one client only, its history is not what DocsGPT reads"
		}
		fields = append(fields, zap.String("likely_cause", cause))
	} else if cause := x.likelyCause(r, status); cause != "" {
		fields = append(fields, zap.String("likely_cause", cause))
	}
	x.handler.logger.Log(level, message, fields...)
}

// credentialName says which of the gate's credentials a request carried, without showing it.
func (x *gatewayRequest) credentialName() string {
	if x.key != nil && x.key.Binding.Kind() == keys.SourceBinding {
		return "upstream_token"
	}
	return "the agent key of " + x.keyID()
}
