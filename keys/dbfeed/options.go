package dbfeed

import (
	"cmp"
	"errors"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

const (
	defaultPollInterval = 500 * time.Millisecond
	defaultTimeout      = 5 * time.Second
	defaultMaxStale     = 24 * time.Hour

	// fullTimeouts is the timeout for reading all agents, as a multiple of Options.Timeout.
	fullTimeouts = 12
)

// Options are the options of a feed that all databases have in common.
type Options struct {
	// URI is the address of DocsGPT's database, with user and password, like in DocsGPT's own configuration. Required.
	URI keys.Secret

	// InsecurePlaintext allows unencrypted connections to other machines. If it is not set, the feed makes none.
	InsecurePlaintext bool

	// Filter selects the agents that become keys.
	Filter docsgptkeys.Filter

	// SnapshotPath is the encrypted file that caches the keys for outages of the database; empty: none. Two more files are stored
	// beside it, with the suffixes ".secret" and ".confirmed".
	SnapshotPath string

	// PollInterval is the interval at which the database is polled. Default: 500 ms. If the database sends notifications of changes,
	// it is 30 s, or PollInterval if that is longer.
	PollInterval time.Duration

	// MaxStale is how long the last keys remain valid while the database is unavailable. Default: 24 h.
	MaxStale time.Duration

	// Timeout is the timeout for connecting to a host and for a query. The timeout for reading all agents is twelve times as long.
	// Default: 5 s.
	Timeout time.Duration

	// OnWarning is called with messages for operators besides errors, without secrets: about the snapshot, notifications that do not
	// work, missing permissions. nil discards them.
	OnWarning func(text string)
}

// WithDefaults returns the options with the defaults of those that are zero, or an error if one of them is invalid.
func (o Options) WithDefaults() (Options, error) {
	if o.PollInterval < 0 || o.MaxStale < 0 || o.Timeout < 0 {
		return Options{}, errors.New("poll_interval, max_stale and timeout of a DocsGPT feed must not be negative")
	}
	o.PollInterval = cmp.Or(o.PollInterval, defaultPollInterval)
	o.MaxStale = cmp.Or(o.MaxStale, defaultMaxStale)
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	if o.OnWarning == nil {
		o.OnWarning = func(string) {}
	}
	return o, nil
}

// FullTimeout returns the timeout for reading all agents.
func (o Options) FullTimeout() time.Duration { return fullTimeouts * o.Timeout }
