// Package auth authenticates requests to the console: by the admin token, by a session, by an authentication handler before the
// console, or by a loopback connection. It also rejects cross-site requests.
package auth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/docsgate/docsgate/console/internal/securityheader"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// minTokenLength is the minimum length of an admin token.
const minTokenLength = 16

// Options configure an Authenticator. At least one of Token, User and Loopback is required.
type Options struct {
	// Token is the admin token, of at least 16 characters. Zero: there is none, and no sign-in.
	Token keys.Secret

	// User returns the name of the user that a handler before the console has authenticated, such as Caddy's basic_auth. nil:
	// there is no such handler.
	User func(*http.Request) (name string, ok bool)

	// Loopback accepts all requests from this machine. It is for listeners that only this machine can reach; each request is
	// checked nevertheless.
	Loopback bool

	// Hosts are host names that Loopback accepts besides localhost and loopback addresses. All others are rejected to prevent
	// DNS rebinding.
	Hosts []string

	// IsPublic reports whether a page request needs no authentication, such as one for the login page. nil: no request.
	IsPublic func(*http.Request) bool

	// IsAPI reports whether a request is a program's, which gets problems as JSON. nil: paths below /v1/ and /api/,
	// /openapi.json, and requests that accept JSON but no HTML.
	IsAPI func(*http.Request) bool

	// ErrorPage responds to a rejected page request. nil: a line of text.
	ErrorPage func(w http.ResponseWriter, r *http.Request, status int, text string)

	Sessions *Sessions                  // nil: the Authenticator's own
	Base     string                     // path prefix of the console, for redirects to its login page
	ClientIP func(*http.Request) string // nil: the remote address of the connection
	OnError  func(*http.Request, error) // is called if the storage of Sessions fails; may be nil
	OnReject func(Rejection)            // is called for each rejection, for logs and metrics; may be nil
	Now      func() time.Time           // nil: time.Now
}

// Rejection describes a rejected request.
type Rejection struct {
	Reason Reason
	From   string // IP address of the client; may be empty
}

// Reason is why a request was rejected. The set is closed, and the values are stable.
type Reason string

// The reasons.
const (
	NoCredential   Reason = "no_credential" // no credential, and no other authentication applies
	WrongToken     Reason = "wrong_token"
	Throttled      Reason = "throttled"          // too many wrong tokens from this address
	CrossSite      Reason = "cross_site_request" // sent by a page of another site
	Proxied        Reason = "proxied_request"    // sent through a proxy, so its origin is unknown
	NotLoopback    Reason = "not_loopback"       // one end of the connection is not on this machine
	HostNotAllowed Reason = "host_not_allowed"   // for a host name that is not accepted
	Unavailable    Reason = "store_unavailable"  // the sessions cannot be read
)

// Authenticator authenticates requests. Create it with New. Safe for concurrent use.
type Authenticator struct {
	Options
	token   keys.Digest
	hosts   map[string]bool
	origins *http.CrossOriginProtection

	checking sync.Mutex // held while a token is checked, so that concurrent requests cannot exceed the limit
	throttle *limiter
}

// New returns an Authenticator. It fails if the options do not protect the console, or if the admin token is invalid.
func New(o Options) (*Authenticator, error) {
	if o.Token.IsZero() && o.User == nil && !o.Loopback {
		return nil, errors.New("the console is not protected: configure an admin token, put an authentication handler before it, " +
			"or listen on a loopback address or a unix socket only")
	}
	if !o.Token.IsZero() && len(o.Token.Reveal()) < minTokenLength {
		return nil, fmt.Errorf("the admin token is too short: use at least %d characters, for example from "+
			"`openssl rand -hex 20`", minTokenLength)
	}
	if !o.Token.IsZero() && !keys.IsValidToken(o.Token.Reveal()) {
		return nil, errors.New("the admin token must be at most 512 printable ASCII characters without spaces")
	}
	g := &Authenticator{Options: o, hosts: map[string]bool{}, origins: http.NewCrossOriginProtection(), throttle: newLimiter()}
	if !o.Token.IsZero() {
		g.token = keys.DigestOf(o.Token.Reveal())
		g.Token = keys.Secret{}
	}
	for _, host := range o.Hosts {
		g.hosts[strings.ToLower(strings.TrimSuffix(host, "."))] = true
	}
	if g.Sessions == nil {
		g.Sessions = new(Sessions)
	}
	if g.Now == nil {
		g.Now = time.Now
	}
	if g.IsPublic == nil {
		g.IsPublic = func(*http.Request) bool { return false }
	}
	if g.IsAPI == nil {
		g.IsAPI = isAPIRequest
	}
	return g, nil
}

// actorKey is the key of the actor in a request's context.
type actorKey struct{}

// ActorOf returns the actor of a request that an Authenticator has accepted, or the zero Actor.
func ActorOf(r *http.Request) registry.Actor {
	actor, _ := r.Context().Value(actorKey{}).(registry.Actor)
	return actor
}

// Handler returns a handler that calls next for accepted requests. ActorOf returns their actor.
func (g *Authenticator) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		securityheader.Set(w.Header(), securityheader.NoContent) // pages have their own policy
		actor, rej := g.authenticate(r)
		if rej != nil {
			g.reject(w, r, rej)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), actorKey{}, actor)))
	})
}

// authenticate returns the actor of a request, or why the request is rejected.
func (g *Authenticator) authenticate(r *http.Request) (registry.Actor, *rejection) {
	from := g.clientIP(r)
	if presented, ok := bearer(r); ok && !g.token.IsZero() {
		// A page of another site cannot make a browser send this header, so no CSRF check is needed.
		if rej := g.check(from, presented); rej != nil {
			return registry.Actor{}, rej
		}
		return registry.Actor{Name: "admin token", RemoteAddr: from}, nil
	}
	if rej := g.checkCSRF(r); rej != nil {
		return registry.Actor{}, rej
	}
	if g.User != nil {
		if name, ok := g.User(r); ok && name != "" {
			return registry.Actor{Name: name, RemoteAddr: from}, nil
		}
	}
	signedIn, err := g.signedIn(r)
	if signedIn {
		return registry.Actor{Name: "admin token", RemoteAddr: from}, nil
	}
	if err != nil && !(!g.IsAPI(r) && g.IsPublic(r)) {
		if g.OnError != nil {
			g.OnError(r, err)
		}
		return registry.Actor{}, errUnavailable // and not a redirect to the login page
	}
	rej := errNoCredential
	if g.Loopback {
		if rej = g.checkLoopback(r); rej == nil {
			return registry.Actor{Name: "loopback", RemoteAddr: from}, nil
		}
	}
	if !g.IsAPI(r) && g.IsPublic(r) {
		return registry.Actor{RemoteAddr: from}, nil
	}
	return registry.Actor{}, rej
}

// check compares a token with the admin token. Wrong tokens count against the rate limit.
func (g *Authenticator) check(from, presented string) *rejection {
	g.checking.Lock()
	defer g.checking.Unlock()
	now := g.Now()
	if wait := g.throttle.wait(from, now); wait > 0 {
		return errRateLimited(wait)
	}
	d := keys.DigestOf(presented)
	if subtle.ConstantTimeCompare(d[:], g.token[:]) != 1 {
		g.throttle.failed(from, now)
		return errWrongToken
	}
	return nil
}

// checkCSRF rejects requests from pages of other sites, and for the API links from them too.
func (g *Authenticator) checkCSRF(r *http.Request) *rejection {
	site := r.Header.Get("Sec-Fetch-Site")
	if g.origins.Check(r) != nil || g.IsAPI(r) && (site == "cross-site" || site == "same-site") {
		return errCrossSite
	}
	return nil
}

// clientIP returns the address of the client, or "".
func (g *Authenticator) clientIP(r *http.Request) string {
	if g.ClientIP != nil {
		return g.ClientIP(r)
	}
	if ip, ok := remoteIP(r); ok {
		return ip.String()
	}
	return ""
}

func remoteIP(r *http.Request) (netip.Addr, bool) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(host)
	return ip.Unmap().WithZone(""), err == nil
}

// bearer returns the token of the Authorization header, if there is exactly one and it has the Bearer scheme.
func bearer(r *http.Request) (string, bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

func isAPIRequest(r *http.Request) bool {
	path := r.URL.Path
	if path == "/openapi.json" || strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/api/") {
		return true
	}
	accept := strings.Join(r.Header.Values("Accept"), ",")
	return strings.Contains(accept, "json") && !strings.Contains(accept, "text/html")
}
