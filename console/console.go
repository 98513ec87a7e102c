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
	Desk *keyservice.Service // required

	// Ways in, see guard.Options.
	Token    keys.Secret
	User     func(*http.Request) (name string, ok bool)
	Loopback bool
	Hosts    []string
	ClientIP func(*http.Request) string

	// SharedState is what a console before this one, or beside it, remembers of its users. nil: nothing.
	Memory *SharedState

	Feeds      func() []string                  // names of all feeds, to filter by; nil: there is no such filter
	BackupName string                           // of the file that a backup is
	OnError    func(r *http.Request, err error) // hears of faults of the server
	OnReject   func(auth.Refusal)               // hears of everybody who is not let in
}

// SharedState is what a console knows of its users, for others to take over when it is replaced. Make one with NewMemory.
type SharedState struct {
	Sessions *auth.Sessions        // browsers that have signed in
	Forms    *ui.FormNonces        // that were sent
	Repeats  *api.IdempotencyCache // answers that may be asked for again, here and at the admin endpoint
}

// NewMemory returns a memory of nothing.
func NewMemory() *SharedState {
	return &SharedState{Sessions: new(auth.Sessions), Forms: ui.NewForms(nil), Repeats: new(api.IdempotencyCache)}
}

// New returns the console's handler. It answers every path. The only error is an admin token that is too short.
func New(o Options) (http.Handler, error) {
	var pages *ui.Page
	if o.Memory == nil {
		o.Memory = NewMemory()
	}
	g, err := auth.New(auth.Options{
		Token: o.Token, User: o.User, Hosts: o.Hosts, ClientIP: o.ClientIP, Loopback: o.Loopback, Open: ui.IsPublic,
		Refuse: func(w http.ResponseWriter, r *http.Request, status int, text string) {
			pages.Refuse(w, r, status, text)
		},
		Report: o.OnReject, Sessions: o.Memory.Sessions,
	})
	if err != nil {
		return nil, err
	}
	settings := ui.Options{
		Desk: o.Desk, Actor: auth.ActorOf, User: func(r *http.Request) string { return auth.ActorOf(r).Name },
		Feeds: o.Feeds, Fault: o.OnError, Forms: o.Memory.Forms,
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
	calls := api.New(api.Options{Desk: o.Desk, Actor: auth.ActorOf, Format: o.BackupName, Log: o.OnError, Repeats: o.Memory.Repeats})
	return g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if api.IsAPIPath(r.URL.Path) {
			calls.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})), nil
}
