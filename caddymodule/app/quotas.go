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

// Quotas counts the questions and tokens of keys. It is global, so that a reload does not reset the counts.
var Quotas = quota.New()

var quotaFailures = prometheus.NewCounter(prometheus.CounterOpts{
	Namespace: "caddy", Subsystem: "docsgate", Name: "quota_save_failures_total",
	Help: "Failed attempts to save the quotas of keys, which are only in memory until an attempt succeeds.",
})

// DefaultQuotaPath returns the path of the file with the quotas of a configuration without the feed store.
func DefaultQuotaPath() string { return filepath.Join(caddy.AppDataDir(), "docsgate", "quotas.db") }

// QuotaCalendar returns the calendar by which quotas are reset.
func (a *App) QuotaCalendar() *quota.Calendar { return a.quotaCalendar }

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

// quotaSavers holds the savers by the path of their file, since two configurations share one during a reload.
var quotaSavers = caddy.NewUsagePool()

// quotaSaver saves Quotas in the key store, or in a file of their own.
type quotaSaver struct {
	*quota.Saver
	path  string
	once  sync.Once
	stop  context.CancelFunc // nil until start
	saved sync.WaitGroup
}

// acquireQuotas restores the quotas. A failure is not an error: start logs it and tries again, since quotas must not take the gate
// down, and another process may have the file open, such as the gate while its configuration is validated.
func (a *App) acquireQuotas() error {
	path, open := DefaultQuotaPath(), openQuotaFile
	if a.storeFeed != nil {
		if a.storeFeed.registry == nil {
			return nil // App.Start returns the error
		}
		path = a.storeFeed.path
		open = openStoredQuotas(path, a.ctx.Slogger())
	}
	value, _, err := quotaSavers.LoadOrNew(path, func() (caddy.Destructor, error) {
		s := &quotaSaver{path: path, Saver: quota.NewSaver(quota.SaverOptions{
			Counter: Quotas, Open: open, Log: a.ctx.Slogger(), Failed: quotaFailures.Inc,
		})}
		_ = s.Restore(a.ctx) // see above
		return s, nil
	})
	if err != nil {
		return err
	}
	a.quotas = value.(*quotaSaver)
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
	_, err := quotaSavers.Delete(s.path)
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

// openQuotaFile opens the file of a configuration without the feed store. It is a key store without keys.
func openQuotaFile(ctx context.Context, create bool) (quota.Storage, error) {
	path := DefaultQuotaPath()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !create {
		return nil, nil //nolint:nilnil // nothing is stored
	}
	storage, err := boltstore.Open(ctx, boltstore.Options{Path: path})
	if err != nil {
		return nil, fmt.Errorf("the file of quotas: %w", err)
	}
	return storage, nil
}

// openStoredQuotas returns a function that uses the open key store.
func openStoredQuotas(path string, logger *slog.Logger) func(context.Context, bool) (quota.Storage, error) {
	return func(ctx context.Context, _ bool) (quota.Storage, error) {
		ref, err := acquireRegistry(ctx, path, logger)
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
