package doctorcmd

import (
	"fmt"
	"slices"
	"testing"

	"github.com/docsgate/docsgate/doctor"
	"github.com/docsgate/docsgate/internal/redistest"
)

// The doctor connects to the server of shared_limits, and knows how the connection is protected even if that fails.
func TestSharedLimits(t *testing.T) {
	server := redistest.Start(t)
	check := func(options string) *doctor.SharedLimits {
		l := dryRun(fmt.Appendf(nil, `{"apps":{"docsgate":{"shared_limits":{%s}}}}`, options))
		if l.err != nil {
			t.Fatalf("%s: %v", options, l.err)
		}
		return checkSharedLimits(t.Context(), &l)
	}
	if got := check(`"address":"` + server.URL() + `"`); got.Transport != doctor.Local || len(got.Hosts) > 0 || got.Err != nil {
		t.Errorf("a local server: %+v", got)
	}
	server.Stop()
	if got := check(`"address":"` + server.URL() + `"`); got.Transport != doctor.Local || got.Err == nil {
		t.Errorf("a stopped server: %+v", got)
	}
	got := check(`"address":"redis://redis.invalid","insecure_plaintext":true`)
	if got.Transport != doctor.Plaintext || !slices.Equal(got.Hosts, []string{"redis.invalid"}) || got.Err == nil {
		t.Errorf("a server on another machine: %+v", got)
	}
	l := dryRun([]byte(`{"apps":{"docsgate":{}}}`))
	if got := checkSharedLimits(t.Context(), &l); l.err != nil || got != nil {
		t.Errorf("without shared_limits: %+v, %v", got, l.err)
	}
}
