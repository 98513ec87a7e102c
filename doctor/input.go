package doctor

import (
	"crypto/tls"
	"io/fs"
	"time"

	"github.com/docsgate/docsgate/upstream"
)

// Input holds the contents of a configuration and the state of the running gate. With the zero value only checks from outside run.
type Input struct {
	// Config is the file name of the configuration; empty: no configuration.
	Config string
	// ConfigError is the error of loading the configuration; nil: it loads.
	ConfigError error
	// Running says whether a gate runs, and whether it uses this configuration.
	Running Running

	Gates    []Gate
	Bypasses []Bypass
	Consoles []Console
	Logs     []Log
	Admin    Admin
	Keys     Keys

	// Databases are the connections to databases of feeds, by feed name. Empty: there are none, or the configuration does not
	// load.
	Databases map[string]Database

	// SharedLimits is the server of shared_limits; nil: there is none, or the configuration does not load.
	SharedLimits *SharedLimits

	// Privileges are what the database users of feeds may do beyond reading, by feed name. Empty: unknown, or there are none.
	Privileges map[string]Privileges

	// Shared are the addresses of the gate that other processes listen on, too.
	Shared []SharedAddress

	// Files are the files with keys and secrets that exist.
	Files []File

	// TokenUsage says, by feed name, whether the tokens that answers have cost can be read from the database. Empty: no feed can have
	// them, or no limit needs them.
	TokenUsage map[string]TokenUsage

	// Credential is the gate's credential at DocsGPT for keys that are bound to sources.
	Credential Credential

	// Version is the configured version of DocsGPT: a name, "auto", or empty for the newest known.
	Version string

	// Backends are the named backends, by name. Credential and Version are those of the default one.
	Backends map[string]Backend
}

// Backend is what the gate is configured with for one DocsGPT.
type Backend struct {
	Credential Credential
	Version    string // see Input.Version
}

// backend returns the backend of an upstream.
func (in *Input) backend(u Upstream) Backend {
	if u.Backend != "" {
		return in.Backends[u.Backend]
	}
	return Backend{in.Credential, in.Version}
}

// SharedAddress is an address on which several processes listen, each of which gets a part of the connections.
type SharedAddress struct {
	Address   string // in Caddy's notation
	Admin     bool   // it is that of the admin endpoint
	Processes []string
}

// Running is the state of the running gate.
type Running string

// The values of Running.
const (
	RunningUnknown Running = ""      // the admin endpoint is not accessible
	NotRunning     Running = "no"    // the admin endpoint refuses connections
	RunningThis    Running = "this"  // a gate runs with this configuration
	RunningOther   Running = "other" // a gate runs with another configuration
)

// Site is the address of a handler.
type Site struct {
	Hosts  []string // host names; empty: any
	Listen []string // addresses in Caddy's notation
	TLS    Tristate // served with TLS

	// CatchAll says whether a site on these addresses has no host name, so that it responds to requests for any host name.
	CatchAll bool
	// WriteTimeout is the timeout of the server for responses; 0: none.
	WriteTimeout time.Duration
}

// Tristate is yes, no or unknown. The zero value is unknown.
type Tristate int8

// The known values of Tristate.
const (
	No  Tristate = -1
	Yes Tristate = 1
)

// KnownBool converts a bool to Yes or No.
func KnownBool(b bool) Tristate {
	if b {
		return Yes
	}
	return No
}

// Gate is one docsgate handler.
type Gate struct {
	Site
	Backend     string     // name of its backend; empty: the default one
	Upstreams   []Upstream // empty: unknown
	Endpoints   []string   // the open groups; empty: unknown
	Conditional bool       // it handles only some requests of its site
	Path        string     // prefix that the site removes from paths before the gate, such as "/docs"
	PathUnknown bool       // the site changes paths in another way before the gate

	VisitorLimits VisitorLimits
	TokenLimit    bool // it limits the tokens of keys that do not set the limit themselves

	Timeouts       []Timeout // of DocsGPT's responses, those that are set
	NoQueue        bool      // requests for answers over the limits are rejected immediately
	TrustedProxies bool      // the server trusts the addresses of clients that some proxies report

	LogsCredentials bool // the server logs Authorization and Cookie headers
	Traces          bool // the server has "trace", which logs the configuration of handlers
}

// Timeout is a configured timeout.
type Timeout struct {
	Option string // in the Caddyfile
	Value  time.Duration
}

// VisitorLimits says whether a gate limits the requests of visitors, for keys that do not set the limit themselves. The zero value
// is yes.
type VisitorLimits int8

// The other values of VisitorLimits.
const (
	VisitorLimitsDryRun VisitorLimits = iota + 1 // they are only counted
	VisitorLimitsOff
)

// local returns the gate as reached from this machine, or nil if that is unknown.
func (g *Gate) local() *target {
	t := g.Site.local()
	if t == nil || g.PathUnknown {
		return nil
	}
	t.base += g.Path
	return t
}

// Bypass is a reverse_proxy with no gate before it.
type Bypass struct {
	Site
	Upstreams []Upstream
}

// Upstream is a DocsGPT server.
type Upstream struct {
	Address upstream.Address
	TLS     *tls.Config // nil: the defaults
	Backend string      // name of the backend; empty: the default one
}

// Console is one docsgate_console handler.
type Console struct {
	Site
	Token bool // has an admin token
	Auth  bool // an authentication handler precedes it
}

// Log is a log that receives requests.
type Log struct {
	Name     string
	File     string // absolute path; empty: the log is not a file
	Redacted bool   // it has the encoder docsgate
	Access   bool   // it is an access log; otherwise it receives only requests that fail
}

// Admin is Caddy's admin endpoint.
type Admin struct {
	Disabled bool
	Listen   string // in Caddy's notation
}

// Keys is the state of the gate's feeds and keys.
type Keys struct {
	// Err is why the state is unknown; nil: it is known.
	Err error
	// FromGate reports whether the state is the running gate's; otherwise the doctor has loaded the keys.
	FromGate bool
	Feeds    []Feed
	// Configured is the number of feeds in the configuration.
	Configured int
	States     map[string]int // number of keys by state, such as "active"
	Kinds      map[string]int // number of active keys by kind: "none", "publishable", "publishable_any_page" or "secret"
	// TokenLimited is the number of active keys with a limit of tokens of their own.
	TokenLimited int
	// Unlimited is the number of active keys, other than secret ones, whose own limits bound neither the requests of a visitor nor
	// those of the key.
	Unlimited int
	// QueueRejections are the requests for answers that the queue of the running gate has rejected, by reason.
	QueueRejections map[string]int
	// UnknownExclusions are IDs in exclude_keys of which no key exists, so that the configuration does not load.
	UnknownExclusions []string
}

// Feed is the state of a feed of keys.
type Feed struct {
	Name    string
	Keys    int
	Age     time.Duration // since the last successful load; negative: unknown
	Failing bool
}

// Database is the connection to the database of a feed.
type Database struct {
	Transport Transport
	Hosts     []string // without those on this machine
}

// SharedLimits is the server of shared_limits.
type SharedLimits struct {
	Transport Transport
	Hosts     []string // without those on this machine
	Err       error    // why the server cannot be used from here; nil: it can
}

// Privileges are the permissions of a feed's database user beyond those that the feed needs. The zero value is none.
type Privileges struct {
	User      string // empty: the database does not require authentication
	Superuser bool   // the user may do everything
	Writes    bool   // the user may change keys
	Err       error  // nil: the rest is known
}

// File is an existing file with keys or secrets.
type File struct {
	Path    string
	Content string // such as "the keys of the feed store"
	Mode    fs.FileMode
	Secret  bool // other users must not read it
}

// TokenUsage says whether the tokens of answers can be read. The zero value is yes.
type TokenUsage struct {
	Unreadable string // why not, until an operator changes something
	Err        error  // of the check; nil: the rest is known
}

// Transport is the protection of a connection on the network. The values are those of the feeds.
type Transport string

// The values of Transport, the most secure first.
const (
	Local      Transport = "local"      // on this machine
	Verified   Transport = "verified"   // TLS with a verified certificate
	Unverified Transport = "unverified" // TLS without verification of the certificate
	Plaintext  Transport = "plaintext"  // not encrypted, or with a fallback to no encryption
)

// Options selects the checks that need more than the configuration.
type Options struct {
	// URL is the address of the gate for clients. Empty: the gate of the configuration, on this machine.
	URL string
	// Key is a token of the gate. Empty: no questions are asked.
	Key string
	// Source is the ID of a source that the key must not reach, and Canary a text that only this source contains. Question is a
	// question that this text answers; empty: a general question.
	Source, Canary, Question string
	// Page is the URL of the page with the widget. Empty: no page is checked.
	Page string
	// Backends are addresses, host:port, at which DocsGPT must not answer.
	Backends []string

	// Timeout limits each request that involves a model. Default: 90s.
	Timeout time.Duration
	// Local are the IP addresses of this machine. nil: those of its network interfaces.
	Local []string
}
