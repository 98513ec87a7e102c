package app

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/docsgate/docsgate/keys/registry"
)

func valueOf(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// A failed write makes the key store degraded until one succeeds.
func TestWriteState(t *testing.T) {
	var s writeState
	created := auditEntries.WithLabelValues(string(registry.ActionCreated))
	entries, failures := valueOf(t, created), valueOf(t, auditFailures)
	s.noteWrite([]*registry.AuditEntry{{Action: registry.ActionCreated}}, errors.New("the disk is full"))
	if !s.failed.Load() || valueOf(t, auditFailures) != failures+1 || valueOf(t, created) != entries {
		t.Errorf("after a failure: failed %t, %g failures", s.failed.Load(), valueOf(t, auditFailures)-failures)
	}
	s.noteWrite([]*registry.AuditEntry{{Action: registry.ActionCreated}, {Action: registry.ActionCreated}}, nil)
	if s.failed.Load() || valueOf(t, created) != entries+2 {
		t.Errorf("after a success: failed %t, %g entries", s.failed.Load(), valueOf(t, created)-entries)
	}
	series := make(chan prometheus.Metric, 100)
	auditEntries.Collect(series)
	if n := len(series); n != len(registry.Actions()) {
		t.Errorf("%d series, want one for each action", n)
	}
}
