package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/dustin/go-humanize"

	"github.com/docsgate/docsgate/policy/quota"
)

// maxBodySizes are the largest limits of all handlers of a configuration, in bytes.
type maxBodySizes struct{ body, upload int64 }

func (l *maxBodySizes) add(h *Handler) {
	l.body, l.upload = max(l.body, h.MaxBodySize), max(l.upload, h.MaxUploadSize)
}

// activeLimits holds the running configurations. The limits of the newest one apply. During a reload there are two; if the new one
// fails to start, the limits of the old one apply again.
var activeLimits struct {
	sync.Mutex
	apps []*App
}

func limitBodies(a *App) {
	activeLimits.Lock()
	defer activeLimits.Unlock()
	activeLimits.apps = append(activeLimits.apps, a)
	bodies.SetLimits(a.bodyLimits())
}

func unlimitBodies(a *App) {
	activeLimits.Lock()
	defer activeLimits.Unlock()
	activeLimits.apps = slices.DeleteFunc(activeLimits.apps, func(other *App) bool { return other == a })
	if n := len(activeLimits.apps); n > 0 {
		bodies.SetLimits(activeLimits.apps[n-1].bodyLimits())
	}
}

// bodyLimits returns the limits of the configuration. Each share is larger than the largest body that a handler accepts.
func (a *App) bodyLimits() quota.Limits {
	disk := a.MaxUploadDisk
	if disk == 0 {
		disk = max(quota.DefaultDisk, quota.Shares*a.maxBodySizes.upload)
	}
	disk += quota.Shares * formMemory // a rewritten form may be slightly larger
	return quota.Limits{Memory: max(quota.DefaultMemory, 3*quota.Shares*a.maxBodySizes.body), Disk: disk, MinRate: a.MinBodyRate}
}

// Validate implements caddy.Validator.
func (a *App) Validate() error {
	if a.MaxUploadDisk < 0 {
		return errors.New("max_upload_disk must not be negative")
	}
	if a.MinBodyRate < 0 {
		return errors.New("min_body_rate must not be negative")
	}
	if a.ShutdownGrace < 0 {
		return errors.New("shutdown_grace must not be negative")
	}
	return nil
}

// checkBodies returns an error if the largest upload does not fit into a share of max_upload_disk.
func (a *App) checkBodies() error {
	if least := quota.Shares * a.maxBodySizes.upload; a.MaxUploadDisk != 0 && a.MaxUploadDisk < least {
		return fmt.Errorf("max_upload_disk is %s, but with a max_upload_size of %s it must be at least %s: "+
			"a quarter of it is for uploads whose key is not known yet, and one key gets a quarter at most",
			humanize.IBytes(uint64(a.MaxUploadDisk)), humanize.IBytes(uint64(a.maxBodySizes.upload)), humanize.IBytes(uint64(least)))
	}
	return nil
}
