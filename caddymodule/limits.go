package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/dustin/go-humanize"

	"github.com/docsgate/docsgate/policy/quota"
)

// largest are the largest bodies that the handlers of a configuration read.
type largest struct{ body, upload int64 }

func (l *largest) add(h *Handler) {
	l.body, l.upload = max(l.body, h.MaxBody), max(l.upload, h.MaxUpload)
}

// limiting are the configurations that are running. The limits of the newest hold: while a configuration is replaced there
// are two, and one that turns out not to start leaves the other.
var limiting struct {
	sync.Mutex
	apps []*App
}

func limitBodies(a *App) {
	limiting.Lock()
	defer limiting.Unlock()
	limiting.apps = append(limiting.apps, a)
	bodies.SetLimits(a.bodyLimits())
}

func unlimitBodies(a *App) {
	limiting.Lock()
	defer limiting.Unlock()
	limiting.apps = slices.DeleteFunc(limiting.apps, func(other *App) bool { return other == a })
	if n := len(limiting.apps); n > 0 {
		bodies.SetLimits(limiting.apps[n-1].bodyLimits())
	}
}

// bodyLimits are the limits of a configuration. Each share has room for a body of the largest size that a handler reads,
// and some more.
func (a *App) bodyLimits() quota.Limits {
	disk := a.MaxUploadDisk
	if disk == 0 {
		disk = max(quota.DefaultDisk, quota.Shares*a.largest.upload)
	}
	disk += quota.Shares * formMemory // a form is written anew, and may be a bit larger then
	return quota.Limits{Memory: max(quota.DefaultMemory, 3*quota.Shares*a.largest.body), Disk: disk, MinRate: a.MinBodyRate}
}

// Validate refuses settings that cannot be meant.
func (a *App) Validate() error {
	if a.MaxUploadDisk < 0 {
		return errors.New("max_upload_disk is negative")
	}
	if a.MinBodyRate < 0 {
		return errors.New("min_body_rate is negative")
	}
	if a.ShutdownGrace < 0 {
		return errors.New("shutdown_grace is negative")
	}
	return nil
}

// checkBodies refuses a disk budget in whose shares the largest upload has no room.
func (a *App) checkBodies() error {
	if least := quota.Shares * a.largest.upload; a.MaxUploadDisk != 0 && a.MaxUploadDisk < least {
		return fmt.Errorf("max_upload_disk is %s, but with a max_upload_size of %s it must be at least %s: "+
			"a quarter of it is for uploads whose key is not known yet, and one key gets a quarter at most",
			humanize.IBytes(uint64(a.MaxUploadDisk)), humanize.IBytes(uint64(a.largest.upload)), humanize.IBytes(uint64(least)))
	}
	return nil
}
