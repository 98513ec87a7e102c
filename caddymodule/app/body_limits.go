package app

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/dustin/go-humanize"

	"github.com/docsgate/docsgate/bodyquota"
)

// Bodies limits the memory and the disk space of request bodies. It is global, since all sites and configurations of the
// process share both.
var Bodies = bodyquota.New(bodyquota.Limits{})

// FormMemory is the maximum memory for parsing a form, in bytes, without the memory of its spool.
const FormMemory = 128 << 10

// maxBodySizes are the largest limits of all handlers of a configuration, in bytes.
type maxBodySizes struct{ body, upload int64 }

// AddBodySizes adds the limits of a handler for bodies and uploads, in bytes. It must be called while the configuration is
// provisioned.
func (a *App) AddBodySizes(body, upload int64) {
	l := &a.maxBodySizes
	l.body, l.upload = max(l.body, body), max(l.upload, upload)
	activeLimits.Lock()
	defer activeLimits.Unlock()
	if len(activeLimits.apps) == 0 { // Caddy may start the server, and serve, before the app
		Bodies.SetLimits(a.bodyLimits())
	}
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
	Bodies.SetLimits(a.bodyLimits())
}

func unlimitBodies(a *App) {
	activeLimits.Lock()
	defer activeLimits.Unlock()
	activeLimits.apps = slices.DeleteFunc(activeLimits.apps, func(other *App) bool { return other == a })
	if n := len(activeLimits.apps); n > 0 {
		Bodies.SetLimits(activeLimits.apps[n-1].bodyLimits())
	}
}

// bodyLimits returns the limits of the configuration. Each share is larger than the largest body that a handler accepts.
func (a *App) bodyLimits() bodyquota.Limits {
	disk := a.MaxUploadDisk
	if disk == 0 {
		disk = max(bodyquota.DefaultDisk, bodyquota.Shares*a.maxBodySizes.upload)
	}
	disk += bodyquota.Shares * FormMemory // a rewritten form may be slightly larger
	return bodyquota.Limits{Memory: max(bodyquota.DefaultMemory, 3*bodyquota.Shares*a.maxBodySizes.body), Disk: disk, MinRate: a.MinBodyRate}
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
	if least := bodyquota.Shares * a.maxBodySizes.upload; a.MaxUploadDisk != 0 && a.MaxUploadDisk < least {
		return fmt.Errorf("max_upload_disk is %s, but with a max_upload_size of %s it must be at least %s: "+
			"a quarter of it is for uploads whose key is not known yet, and one key gets a quarter at most",
			humanize.IBytes(uint64(a.MaxUploadDisk)), humanize.IBytes(uint64(a.maxBodySizes.upload)), humanize.IBytes(uint64(least)))
	}
	return nil
}
