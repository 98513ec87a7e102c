package app

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/docsgate/docsgate/keys/registry"
)

// auditEntries counts the entries of the audit trails of all key stores of the process by action, which is one of registry.Actions.
var auditEntries = func() *prometheus.CounterVec {
	entries := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "docsgate", Name: "audit_entries_total",
		Help: "Entries that this gate has written to the audit trail, by action.",
	}, []string{"action"})
	for _, action := range registry.Actions() {
		entries.WithLabelValues(string(action)) // so that the first one is an increase
	}
	return entries
}()

var auditFailures = prometheus.NewCounter(prometheus.CounterOpts{
	Namespace: "caddy", Subsystem: "docsgate", Name: "audit_write_failures_total",
	Help: "Changes of keys that were rejected, since they and their entries of the audit trail could not be stored.",
})

// writeState counts the writes to a key store, and remembers whether the last one has failed.
type writeState struct{ failed atomic.Bool }

// noteWrite is the registry's OnWrite.
func (s *writeState) noteWrite(entries []*registry.AuditEntry, err error) {
	s.failed.Store(err != nil)
	if err != nil {
		auditFailures.Inc()
		return
	}
	for _, e := range entries {
		auditEntries.WithLabelValues(string(e.Action)).Inc()
	}
}
