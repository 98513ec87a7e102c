// Package console is the web page and the API for keys under one roof, with the guard before both. It knows no Caddy.
package console

import (
	"errors"
	"net/http"

	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/console/guard"
	"github.com/docsgate/docsgate/console/page"
	"github.com/docsgate/docsgate/console/view"
	"github.com/docsgate/docsgate/keys"
)

// Options configure a console.
type Options struct {
	Desk *view.Desk // required

	// Ways in, see guard.Options.
	Token    keys.Secret
	User     func(*http.Request) (name string, ok bool)
	Loopback bool
	Hosts    []string
	ClientIP func(*http.Request) string

	// Memory is what a console before this one, or beside it, remembers of its users. nil: nothing.
	Memory *Memory

	Feeds      func() []string                  // names of all feeds, to filter by; nil: there is no such filter
	BackupName string                           // of the file that a backup is
	Fault      func(r *http.Request, err error) // hears of faults of the server
	Refused    func(guard.Refusal)              // hears of everybody who is not let in
}

// Memory is what a console knows of its users, for others to take over when it is replaced. Make one with NewMemory.
type Memory struct {
	Sessions *guard.Sessions // browsers that have signed in
	Forms    *page.Forms     // that were sent
	Repeats  *api.Repeats    // answers that may be asked for again, here and at the admin endpoint
}

// NewMemory returns a memory of nothing.
func NewMemory() *Memory {
	return &Memory{Sessions: new(guard.Sessions), Forms: page.NewForms(nil), Repeats: new(api.Repeats)}
}

// New returns the console's handler. It answers every path. The only error is an admin token that is too short.
func New(o Options) (http.Handler, error) {
	var pages *page.Page
	if o.Memory == nil {
		o.Memory = NewMemory()
	}
	g, err := guard.New(guard.Options{
		Token: o.Token, User: o.User, Hosts: o.Hosts, ClientIP: o.ClientIP, Loopback: o.Loopback, Open: page.Open,
		Refuse: func(w http.ResponseWriter, r *http.Request, status int, text string) {
			pages.Refuse(w, r, status, text)
		},
		Report: o.Refused, Sessions: o.Memory.Sessions,
	})
	if err != nil {
		return nil, err
	}
	settings := page.Options{
		Desk: o.Desk, Actor: guard.ActorOf, User: func(r *http.Request) string { return guard.ActorOf(r).Who },
		Feeds: o.Feeds, Fault: o.Fault, Forms: o.Memory.Forms,
	}
	if g.CanSignIn() {
		settings.SignIn = func(w http.ResponseWriter, r *http.Request, token string) error {
			err := g.SignIn(w, r, token)
			if no := (*guard.SignInError)(nil); errors.As(err, &no) {
				return &page.SignInError{Status: no.Status, Text: no.Text}
			}
			return err
		}
		settings.SignOut = g.SignOut
	}
	pages = page.New(settings)
	calls := api.New(api.Options{Desk: o.Desk, Actor: guard.ActorOf, Format: o.BackupName, Log: o.Fault, Repeats: o.Memory.Repeats})
	return g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if api.Owns(r.URL.Path) {
			calls.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})), nil
}
