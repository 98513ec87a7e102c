// Package console is the web page and the API for keys under one roof, with the guard before both. It knows no Caddy.
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

	// Ways in, see guard.Options.
	Token    keys.Secret
	User     func(*http.Request) (name string, ok bool)
	Loopback bool
	Hosts    []string
	ClientIP func(*http.Request) string

	// SharedState is what a console before this one, or beside it, remembers of its users. nil: nothing.
	SharedState *SharedState

	Feeds      func() []string                  // names of all feeds, to filter by; nil: there is no such filter
	BackupName string                           // of the file that a backup is
	OnError    func(r *http.Request, err error) // hears of faults of the server
	OnReject   func(auth.Rejection)             // hears of everybody who is not let in
}

// SharedState is what a console knows of its users, for others to take over when it is replaced. Make one with NewSharedState.
type SharedState struct {
	Sessions         *auth.Sessions        // browsers that have signed in
	FormNonces       *ui.FormNonces        // that were sent
	IdempotencyCache *api.IdempotencyCache // answers that may be asked for again, here and at the admin endpoint
}

// NewSharedState returns a memory of nothing.
func NewSharedState() *SharedState {
	return &SharedState{Sessions: new(auth.Sessions), FormNonces: ui.NewFormNonces(nil), IdempotencyCache: new(api.IdempotencyCache)}
}

// New returns the console's handler. It answers every path. The only error is an admin token that is too short.
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
		OnReject: o.OnReject, Sessions: o.SharedState.Sessions,
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
			if no := (*auth.SignInError)(nil); errors.As(err, &no) {
				return &ui.SignInError{Status: no.Status, Text: no.Text}
			}
			return err
		}
		settings.SignOut = g.SignOut
	}
	pages = ui.New(settings)
	calls := api.New(api.Options{Service: o.Service, Actor: auth.ActorOf, Format: o.BackupName, OnError: o.OnError, IdempotencyCache: o.SharedState.IdempotencyCache})
	return g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if api.IsAPIPath(r.URL.Path) {
			calls.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})), nil
}
