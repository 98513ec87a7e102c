package doctor

import (
	"crypto/tls"
	"time"

	"github.com/docsgate/docsgate/upstream"
)

// Input are what a configuration says, and what the running gate tells of itself. The zero value knows nothing: then
// only what can be seen from outside is examined.
type Input struct {
	// Config is the name of the configuration's file; empty: there is none.
	Config string
	// ConfigError is why the configuration does not load; nil: it does.
	ConfigError error
	// Running says whether a gate runs, and with this configuration.
	Running Running

	Gates    []Gate
	Beside   []Bypass
	Consoles []Console
	Logs     []Log
	Admin    Admin
	Keys     Keys

	// Databases are how the databases are reached that keys come from, by the names of their feeds. Empty: there are none, or
	// the configuration does not load.
	Databases map[string]Database

	// Credential is what the gate asks DocsGPT with for keys that are bound to sources.
	Credential Credential

	// Version is the configured version of DocsGPT: a name, "auto", or empty for the newest known.
	Version string
}

// Running is what is known of the gate that runs.
type Running string

// The states of a gate.
const (
	RunningUnknown Running = ""      // it cannot be asked
	NotRunning     Running = "no"    // nothing listens on its admin endpoint
	RunningThis    Running = "this"  // with this configuration
	RunningOther   Running = "other" // with another one
)

// Site is where a handler is reached.
type Site struct {
	Hosts  []string // names; empty: any
	Listen []string // addresses, as Caddy writes them
	TLS    Tristate // served with TLS
}

// Tristate is a yes or no that may not be known. The zero value is not known.
type Tristate int8

// The values of Known.
const (
	No  Tristate = -1
	Yes Tristate = 1
)

// KnownBool is a yes or no that is known.
func KnownBool(b bool) Tristate {
	if b {
		return Yes
	}
	return No
}

// Gate is one docsgate handler.
type Gate struct {
	Site
	Upstreams   []Upstream // empty: they cannot be told
	Endpoints   []string   // the open groups; empty: not known
	Conditional bool       // it gets only some paths of its site

	LogsCredentials bool // the server's log holds Authorization and cookies
	Traces          bool // the server logs the settings of its handlers
}

// Bypass is a reverse_proxy without a gate before it.
type Bypass struct {
	Site
	Upstreams []Upstream
}

// Upstream is a DocsGPT.
type Upstream struct {
	Address upstream.Address
	TLS     *tls.Config // nil: the defaults
}

// Console is one docsgate_console handler.
type Console struct {
	Site
	Token bool // has an admin token
	Auth  bool // an authentication handler is before it
}

// Log is one log that requests are written to.
type Log struct {
	Name    string
	File    string   // its path; empty: it is no file
	Missing []string // places of keys that its filters leave in; empty: none
	Access  bool     // it gets requests that are answered; else only those that fail
}

// Admin is Caddy's admin endpoint.
type Admin struct {
	Disabled bool
	Listen   string // as Caddy writes it
}

// Keys are the keys of the gate.
type Keys struct {
	// ConfigError is why nothing is known of them; nil: the rest is known.
	Trouble error
	// FromGate: the running gate told; otherwise they were loaded for this examination.
	FromGate bool
	Feeds    []Feed
	// Configured is how many feeds the configuration has.
	Configured int
	States     map[string]int // number of keys by state, such as "active"
}

// Feed is where keys come from.
type Feed struct {
	Name    string
	Keys    int
	Age     time.Duration // since it was last read without a fault; negative: never
	Failing bool
}

// Database is how a database is reached that keys come from.
type Database struct {
	Transport Transport
	Hosts     []string // those that are not this machine
}

// Transport says how a connection is protected against others on the network. The words are those of the feeds.
type Transport string

// The kinds of Transport, the best first.
const (
	Local      Transport = "local"      // it does not leave this machine
	Verified   Transport = "verified"   // TLS with a trusted certificate
	Unverified Transport = "unverified" // TLS with any certificate
	Plaintext  Transport = "plaintext"  // not encrypted, or it may end up so
)

// Options say what else to examine.
type Options struct {
	// URL is where clients reach the gate. Empty: where the configuration has it, on this machine.
	URL string
	// Key is a token that the gate knows. Empty: nothing is asked.
	Key string
	// Source is the id of a source that the key must not reach, and Canary a text that only stands there. Question is
	// one that this text answers; empty: a general one.
	Source, Canary, Question string
	// Page is the address of the page that the widget is on. Empty: none.
	Page string
	// Backends are addresses at which DocsGPT must not answer, host:port.
	Backends []string

	// Timeout is how long one answer may take. Default: 90s.
	Timeout time.Duration
	// Local are the addresses of this machine. nil: those of its network interfaces.
	Local []string
}
