// Package auth decides who may use the console: whoever shows the admin token, has signed in with it, was let in by an
// authentication in front, or is on this machine. It also keeps other sites' pages in the same browser out.
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

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// minTokenLength is the fewest characters of an admin token.
const minTokenLength = 16

// Options configure a Guard. At least one of Token, User and Loopback is needed.
type Options struct {
	// Token is the admin token, of 16 characters or more. Zero: there is none, and nobody can sign in.
	Token keys.Secret

	// User returns the name of the user whom an authentication in front has let in, such as Caddy's basic_auth. nil: there
	// is none.
	User func(*http.Request) (name string, ok bool)

	// Loopback lets everybody in who comes from this machine. It is for listeners that nobody else can reach, and looks at
	// each request again.
	Loopback bool

	// Hosts are names under which the console is called on this machine, besides localhost and loopback addresses. They
	// matter to Loopback only: a page of another site can make its own name stand for this machine.
	Hosts []string

	// IsPublic reports whether a page request is for what a browser needs before anybody has signed in, such as the login page.
	// nil: none is.
	IsPublic func(*http.Request) bool

	// IsAPI reports whether a request is a program's, which gets problems as JSON. nil: paths below /v1/ and /api/,
	// /openapi.json, and requests that accept JSON but no HTML.
	IsAPI func(*http.Request) bool

	// ErrorPage answers a page request that is refused. nil: with a line of text.
	ErrorPage func(w http.ResponseWriter, r *http.Request, status int, text string)

	Sessions *Sessions                  // nil: the guard's own
	Base     string                     // what stands before the console's paths, for the way to its login page
	ClientIP func(*http.Request) string // nil: the address at the other end of the connection
	OnReject func(Rejection)            // hears of every refusal, for logs and metrics; nil: nobody does
	Now      func() time.Time           // nil: time.Now
}

// Rejection is a request that was refused.
type Rejection struct {
	Reason Reason
	From   string // IP address of the client; may be empty
}

// Reason is why a request was refused. The set is closed, and the words are stable.
type Reason string

// The reasons.
const (
	NoCredential   Reason = "no_credential" // nothing was shown, and nothing else lets in
	WrongToken     Reason = "wrong_token"
	Throttled      Reason = "throttled"          // too many wrong tokens came from there
	CrossSite      Reason = "cross_site_request" // the page of another site sent it
	Proxied        Reason = "proxied_request"    // a proxy passed it on, so it may come from anywhere
	NotLoopback    Reason = "not_loopback"       // one end of the connection is not on this machine
	HostNotAllowed Reason = "host_not_allowed"   // it asks for a name that the console does not have
)

// Authenticator is safe for concurrent use. Make one with New.
type Authenticator struct {
	Options
	token   keys.Digest
	hosts   map[string]bool
	origins *http.CrossOriginProtection

	checking sync.Mutex // held while a token is looked at, so that none slips past the count of another
	throttle *limiter
}

// New returns a guard. The error says what the options lack.
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

// ActorOf returns who makes a request that a guard has let through, or the zero Actor.
func ActorOf(r *http.Request) registry.Actor {
	actor, _ := r.Context().Value(actorKey{}).(registry.Actor)
	return actor
}

// Handler returns a handler that calls next for the requests that may pass. Their context has the Actor.
func (g *Authenticator) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setSecurityHeaders(w.Header())
		actor, no := g.authenticate(r)
		if no != nil {
			g.reject(w, r, no)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), actorKey{}, actor)))
	})
}

// authenticate says who makes a request, or why it may not pass.
func (g *Authenticator) authenticate(r *http.Request) (registry.Actor, *rejection) {
	from := g.clientIP(r)
	if presented, ok := bearer(r); ok && !g.token.IsZero() {
		// No page of another site can make a browser send this header, so nothing else is to be looked at.
		if no := g.check(from, presented); no != nil {
			return registry.Actor{}, no
		}
		return registry.Actor{Name: "admin token", RemoteAddr: from}, nil
	}
	if no := g.checkCSRF(r); no != nil {
		return registry.Actor{}, no
	}
	if g.User != nil {
		if name, ok := g.User(r); ok && name != "" {
			return registry.Actor{Name: name, RemoteAddr: from}, nil
		}
	}
	if g.signedIn(r) {
		return registry.Actor{Name: "admin token", RemoteAddr: from}, nil
	}
	no := errNoCredential
	if g.Loopback {
		if no = g.checkLoopback(r); no == nil {
			return registry.Actor{Name: "loopback", RemoteAddr: from}, nil
		}
	}
	if !g.IsAPI(r) && g.IsPublic(r) {
		return registry.Actor{RemoteAddr: from}, nil
	}
	return registry.Actor{}, no
}

// check compares a token with the admin token. Wrong ones are counted.
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

// checkCSRF tells whether the page of another site sent a request. Those for programs are not to be linked to either.
func (g *Authenticator) checkCSRF(r *http.Request) *rejection {
	site := r.Header.Get("Sec-Fetch-Site")
	if g.origins.Check(r) != nil || g.IsAPI(r) && (site == "cross-site" || site == "same-site") {
		return errCrossSite
	}
	return nil
}

// clientIP is the address of the client.
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

// bearer returns the token of the one Authorization header, if it has that form.
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
