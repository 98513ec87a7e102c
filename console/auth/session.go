package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"sync"
	"time"

	"github.com/docsgate/docsgate/keys"
)

const (
	sessionTTL       = 12 * time.Hour
	maxSessions      = 1000
	cookieName       = "docsgate"
	secureCookieName = "__Host-" + cookieName // browsers accept it only over TLS, with Path=/ and without Domain
)

// Sessions are the sessions of signed-in browsers. The zero value is empty. Authenticators can share it: a session is valid only
// for the admin token with which it was created. Safe for concurrent use.
type Sessions struct {
	mu      sync.Mutex
	expires map[[sha256.Size]byte]time.Time // by sessionKey
}

// sessionKey hashes the cookie together with the admin token: it reveals neither, and differs for another admin token.
func sessionKey(token keys.Digest, cookie string) [sha256.Size]byte {
	return sha256.Sum256(append(token[:], cookie...))
}

// create creates a session and returns the value of its cookie.
func (s *Sessions) create(token keys.Digest, now time.Time) string {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails: it crashes the program instead
	value := base64.RawURLEncoding.EncodeToString(raw[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expires == nil {
		s.expires = map[[sha256.Size]byte]time.Time{}
	}
	if len(s.expires) >= maxSessions {
		s.evict(now)
	}
	s.expires[sessionKey(token, value)] = now.Add(sessionTTL)
	return value
}

// evict deletes expired sessions, or the oldest if none is expired. The caller holds mu.
func (s *Sessions) evict(now time.Time) {
	var oldest [sha256.Size]byte
	var first time.Time
	for d, until := range s.expires {
		if !now.Before(until) {
			delete(s.expires, d)
		} else if first.IsZero() || until.Before(first) {
			oldest, first = d, until
		}
	}
	if len(s.expires) >= maxSessions {
		delete(s.expires, oldest)
	}
}

func (s *Sessions) has(token keys.Digest, value string, now time.Time) bool {
	d := sessionKey(token, value)
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.expires[d]
	if ok && !now.Before(until) {
		delete(s.expires, d)
		return false
	}
	return ok
}

func (s *Sessions) end(token keys.Digest, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.expires, sessionKey(token, value))
}

// SignInError is a failed sign-in: the status and text of the error response.
type SignInError struct {
	Status     int
	Text       string
	RetryAfter time.Duration // with status 429; else 0
}

// Error implements error.
func (e *SignInError) Error() string { return e.Text }

// CanSignIn reports whether there is an admin token to sign in with.
func (g *Authenticator) CanSignIn() bool { return !g.token.IsZero() }

// SignIn checks an admin token and, if it is right, sets the cookie of a new session, which lasts 12 hours. Every error is a
// *SignInError. With status 429 it also sets the header Retry-After.
func (g *Authenticator) SignIn(w http.ResponseWriter, r *http.Request, token string) error {
	if !g.CanSignIn() {
		return &SignInError{Status: http.StatusForbidden, Text: "No admin token is configured, so there is no sign-in."}
	}
	if rej := g.check(g.clientIP(r), token); rej != nil {
		g.report(r, rej)
		text := "This is not the admin token."
		if rej.retryAfter > 0 {
			text = rej.text
			w.Header().Set("Retry-After", seconds(rej.retryAfter))
		}
		return &SignInError{Status: rej.status, Text: text, RetryAfter: rej.retryAfter}
	}
	if old, err := r.Cookie(cookieNameFor(r)); err == nil {
		g.Sessions.end(g.token, old.Value)
	}
	http.SetCookie(w, cookieFor(r, g.Sessions.create(g.token, g.Now()), int(sessionTTL.Seconds())))
	return nil
}

// SignOut ends the browser's session and deletes its cookie.
func (g *Authenticator) SignOut(w http.ResponseWriter, r *http.Request) {
	if old, err := r.Cookie(cookieNameFor(r)); err == nil {
		g.Sessions.end(g.token, old.Value)
	}
	http.SetCookie(w, cookieFor(r, "", -1))
}

// signedIn reports whether a request has the cookie of a valid session.
func (g *Authenticator) signedIn(r *http.Request) bool {
	if g.token.IsZero() {
		return false
	}
	for _, cookie := range r.CookiesNamed(cookieNameFor(r)) {
		if g.Sessions.has(g.token, cookie.Value, g.Now()) {
			return true
		}
	}
	return false
}

func cookieNameFor(r *http.Request) string {
	if r.TLS != nil {
		return secureCookieName
	}
	return cookieName
}

func cookieFor(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure with TLS; without TLS, a browser would not send it back
		Name: cookieNameFor(r), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	}
}
