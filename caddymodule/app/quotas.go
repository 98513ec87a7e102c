package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
	_ "time/tzdata" // containers often have no time zones

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/quota"
)

var quotaFailures = prometheus.NewCounter(prometheus.CounterOpts{
	Namespace: "caddy", Subsystem: "docsgate", Name: "quota_save_failures_total",
	Help: "Failed attempts to save the quotas of keys, which are only in memory until an attempt succeeds.",
})

// DefaultQuotaPath returns the path of the file with the quotas of a backend without the feed store. backend is its name; empty: the default
// one.
func DefaultQuotaPath(backend string) string { return filepath.Join(dataDir(backend), "quotas.db") }

// QuotaCalendar returns the calendar by which quotas are reset.
func (b *Backend) QuotaCalendar() *quota.Calendar { return b.app.quotaCalendar }

// provisionQuotaTimeZone creates the calendar.
func (a *App) provisionQuotaTimeZone() error {
	zone, err := loadTimeZone(a.QuotaTimeZone)
	if err != nil {
		return err
	}
	a.quotaCalendar = quota.NewCalendar(zone)
	return nil
}

// loadTimeZone returns a time zone by its name. "" is UTC.
func loadTimeZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("quota_time_zone: unknown time zone %q: use a name such as UTC or Europe/Berlin", name)
	}
	return zone, nil
}

// quotaSavers holds the savers by backend and by the path of their file, since two configurations share one during a reload.
var quotaSavers = caddy.NewUsagePool()

// quotaSaver saves the quotas of a backend in the key store, or in a file of their own.
type quotaSaver struct {
	*quota.Saver
	id    string // in quotaSavers
	once  sync.Once
	stop  context.CancelFunc // nil until start
	saved sync.WaitGroup
}

// acquireQuotas restores the quotas. A failure is not an error: start logs it and tries again, since quotas must not take the gate
// down, and another process may have the file open, such as the gate while its configuration is validated.
func (b *Backend) acquireQuotas() error {
	path := DefaultQuotaPath(b.name)
	open := openQuotaFile(path)
	if b.storeFeed != nil {
		if b.storeFeed.registry == nil {
			return nil // App.Start returns the error
		}
		path = b.storeFeed.location.poolKey()
		open = openStoredQuotas(b.storeFeed.location, b.slogger)
	}
	id := b.name + ":" + path // counts are the backend's, even if it has taken over the file of another
	value, _, err := quotaSavers.LoadOrNew(id, func() (caddy.Destructor, error) {
		s := &quotaSaver{id: id, Saver: quota.NewSaver(quota.SaverOptions{
			Counter: b.counters.Quotas, Open: open, Log: b.slogger, Failed: quotaFailures.Inc,
		})}
		_ = s.Restore(b.ctx) // see above
		return s, nil
	})
	if err != nil {
		return err
	}
	b.quotas = value.(*quotaSaver)
	return nil
}

// start starts saving, once.
func (s *quotaSaver) start() {
	s.once.Do(func() {
		var ctx context.Context
		ctx, s.stop = context.WithCancel(context.Background())
		s.saved.Go(func() { s.Run(ctx) })
	})
}

func (s *quotaSaver) release() error {
	_, err := quotaSavers.Delete(s.id)
	return err
}

// Destruct implements caddy.Destructor. It saves the quotas.
func (s *quotaSaver) Destruct() error {
	if s.stop != nil {
		s.stop()
		s.saved.Wait()
	}
	return s.Close()
}

// openQuotaFile returns a function that opens the file of a backend without the feed store. It is a key store without keys.
func openQuotaFile(path string) func(context.Context, bool) (quota.Storage, error) {
	return func(ctx context.Context, create bool) (quota.Storage, error) {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !create {
			return nil, nil //nolint:nilnil // nothing is stored
		}
		storage, err := boltstore.Open(ctx, boltstore.Options{Path: path})
		if err != nil {
			return nil, fmt.Errorf("the file of quotas: %w", err)
		}
		return storage, nil
	}
}

// openStoredQuotas returns a function that uses the open key store.
func openStoredQuotas(at StoreLocation, logger *slog.Logger) func(context.Context, bool) (quota.Storage, error) {
	return func(ctx context.Context, _ bool) (quota.Storage, error) {
		ref, err := acquireRegistry(ctx, at, logger)
		if err != nil {
			return nil, err
		}
		return storedQuotas{ref}, nil
	}
}

// storedQuotas is the part of an open key store that contains quotas.
type storedQuotas struct{ *registryRef }

// Close releases the store.
func (s storedQuotas) Close() error { return s.release() }
