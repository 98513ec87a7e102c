// Package console combines the web pages and the REST API for keys behind one authenticator. It does not depend on Caddy.
package console

import (
	"errors"
	"net/http"

	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/console/auth"
	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/console/ui"
	"github.com/docsgate/docsgate/keys"
)

// Options configure a console.
type Options struct {
	Service *keyservice.Service // required

	// Authentication, see auth.Options.
	Token    keys.Secret
	User     func(*http.Request) (name string, ok bool)
	Loopback bool
	Hosts    []string
	ClientIP func(*http.Request) string

	// SharedState is the state that this console shares with its predecessor and with other consoles. nil: its own.
	SharedState *SharedState

	Feeds      func() []string                  // names of all feeds, for the filter; nil: no filter by feed
	BackupName string                           // file name of a backup
	OnError    func(r *http.Request, err error) // is called for internal errors
	OnReject   func(auth.Rejection)             // is called for each rejected request
}

// SharedState is the state of a console that outlives it, so that its successor can use it. Create one with NewSharedState.
type SharedState struct {
	Sessions         *auth.Sessions        // of signed-in browsers
	FormNonces       *ui.FormNonces        // of submitted forms
	IdempotencyCache *api.IdempotencyCache // stored responses, of the console and the admin endpoint
}

// NewSharedState returns an empty state.
func NewSharedState() *SharedState {
	return &SharedState{Sessions: new(auth.Sessions), FormNonces: ui.NewFormNonces(nil), IdempotencyCache: new(api.IdempotencyCache)}
}

// NewStoredState returns the state of consoles at several gates, in a storage: a session and a form of one are valid at all. What was
// created with an Idempotency-Key is created once, but the response is only kept at the gate that has created it. secrets returns the
// secrets that sign forms, which all gates have; the last one signs.
func NewStoredState(sessions auth.SessionStorage, forms ui.NonceStorage, secrets func() ([][32]byte, error)) *SharedState {
	return &SharedState{
		Sessions: auth.NewSessions(sessions), FormNonces: ui.NewStoredFormNonces(forms, secrets), IdempotencyCache: new(api.IdempotencyCache),
	}
}

// New returns the console's handler, which responds to every path. It fails if the options do not protect the console, or if the
// admin token is invalid.
func New(o Options) (http.Handler, error) {
	var pages *ui.Page
	if o.SharedState == nil {
		o.SharedState = NewSharedState()
	}
	g, err := auth.New(auth.Options{
		Token: o.Token, User: o.User, Hosts: o.Hosts, ClientIP: o.ClientIP, Loopback: o.Loopback, IsPublic: ui.IsPublic,
		ErrorPage: func(w http.ResponseWriter, r *http.Request, status int, text string) {
			pages.Refuse(w, r, status, text)
		},
		OnReject: o.OnReject, OnError: o.OnError, Sessions: o.SharedState.Sessions,
	})
	if err != nil {
		return nil, err
	}
	settings := ui.Options{
		Service: o.Service, Actor: auth.ActorOf, User: func(r *http.Request) string { return auth.ActorOf(r).Name },
		Feeds: o.Feeds, OnError: o.OnError, FormNonces: o.SharedState.FormNonces,
	}
	if g.CanSignIn() {
		settings.SignIn = func(w http.ResponseWriter, r *http.Request, token string) error {
			err := g.SignIn(w, r, token)
			if rej := (*auth.SignInError)(nil); errors.As(err, &rej) {
				return &ui.SignInError{Status: rej.Status, Text: rej.Text}
			}
			return err
		}
		settings.SignOut = func(w http.ResponseWriter, r *http.Request) error {
			err := g.SignOut(w, r)
			if rej := (*auth.SignInError)(nil); errors.As(err, &rej) {
				return &ui.SignInError{Status: rej.Status, Text: rej.Text}
			}
			return err
		}
	}
	pages = ui.New(settings)
	calls := api.New(api.Options{
		Service: o.Service, Actor: auth.ActorOf, Format: o.BackupName, OnError: o.OnError,
		IdempotencyCache: o.SharedState.IdempotencyCache,
	})
	return g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if api.IsAPIPath(r.URL.Path) {
			calls.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})), nil
}
