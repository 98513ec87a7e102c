package auth

import (
	"context"
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
	maxCookies       = 4 // of a request that are looked up
	cookieName       = "docsgate"
	secureCookieName = "__Host-" + cookieName // browsers accept it only over TLS, with Path=/ and without Domain
)

// SessionStorage stores the sessions of consoles at several gates. It gets only digests of cookies. It is safe for concurrent use.
type SessionStorage interface {
	// PutSession stores a session, and removes expired ones, and the oldest if there are more than max.
	PutSession(ctx context.Context, digest [sha256.Size]byte, lifetime time.Duration, maximum int) error
	// HasSession reports whether a session is stored and not expired.
	HasSession(ctx context.Context, digest [sha256.Size]byte) (bool, error)
	// DeleteSession removes a session.
	DeleteSession(ctx context.Context, digest [sha256.Size]byte) error
}

// Sessions are the sessions of signed-in browsers. The zero value is empty, and in memory. Authenticators can share it: a session is valid
// only for the admin token with which it was created. Safe for concurrent use.
type Sessions struct {
	storage SessionStorage // nil: in memory

	mu      sync.Mutex
	expires map[[sha256.Size]byte]time.Time // by sessionKey
}

// NewSessions returns sessions in a storage, whose errors are those of the methods.
func NewSessions(s SessionStorage) *Sessions { return &Sessions{storage: s} }

// sessionKey hashes the cookie together with the admin token: it reveals neither, and differs for another admin token.
func sessionKey(token keys.Digest, cookie string) [sha256.Size]byte {
	return sha256.Sum256(append(token[:], cookie...))
}

// create creates a session and returns the value of its cookie.
func (s *Sessions) create(ctx context.Context, token keys.Digest, now time.Time) (string, error) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails: it crashes the program instead
	value := base64.RawURLEncoding.EncodeToString(raw[:])
	if s.storage != nil {
		return value, s.storage.PutSession(ctx, sessionKey(token, value), sessionTTL, maxSessions)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expires == nil {
		s.expires = map[[sha256.Size]byte]time.Time{}
	}
	if len(s.expires) >= maxSessions {
		s.evict(now)
	}
	s.expires[sessionKey(token, value)] = now.Add(sessionTTL)
	return value, nil
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

func (s *Sessions) has(ctx context.Context, token keys.Digest, value string, now time.Time) (bool, error) {
	d := sessionKey(token, value)
	if s.storage != nil {
		return s.storage.HasSession(ctx, d)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.expires[d]
	if ok && !now.Before(until) {
		delete(s.expires, d)
		return false, nil
	}
	return ok, nil
}

func (s *Sessions) end(ctx context.Context, token keys.Digest, value string) error {
	if s.storage != nil {
		return s.storage.DeleteSession(ctx, sessionKey(token, value))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.expires, sessionKey(token, value))
	return nil
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
	err := g.endSession(r)
	value := ""
	if err == nil {
		value, err = g.Sessions.create(r.Context(), g.token, g.Now())
	}
	if err != nil {
		return g.sessionsUnavailable(r, err)
	}
	http.SetCookie(w, cookieFor(r, value, int(sessionTTL.Seconds())))
	return nil
}

// sessionsUnavailable returns the error for a session that could not be stored or removed.
func (g *Authenticator) sessionsUnavailable(r *http.Request, err error) error {
	if g.OnError != nil {
		g.OnError(r, err)
	}
	return &SignInError{Status: errUnavailable.status, Text: errUnavailable.text}
}

// endSession ends the session of a request, if it has one.
func (g *Authenticator) endSession(r *http.Request) error {
	old, err := r.Cookie(cookieNameFor(r))
	if err != nil {
		return nil //nolint:nilerr // there is no cookie
	}
	return g.Sessions.end(r.Context(), g.token, old.Value)
}

// SignOut ends the browser's session and deletes its cookie. If the session cannot be ended, the cookie remains, and the error is a
// *SignInError.
func (g *Authenticator) SignOut(w http.ResponseWriter, r *http.Request) error {
	if err := g.endSession(r); err != nil {
		return g.sessionsUnavailable(r, err)
	}
	http.SetCookie(w, cookieFor(r, "", -1))
	return nil
}

// signedIn reports whether a request has the cookie of a valid session.
func (g *Authenticator) signedIn(r *http.Request) (bool, error) {
	if g.token.IsZero() {
		return false, nil
	}
	cookies := r.CookiesNamed(cookieNameFor(r))
	for _, cookie := range cookies[:min(len(cookies), maxCookies)] {
		if ok, err := g.Sessions.has(r.Context(), g.token, cookie.Value, g.Now()); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
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
