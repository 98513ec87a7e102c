package ui

import (
	"errors"
	"net/http"
	"strings"
)

// SignInError is a failed sign-in: the status and text of the page. Options.SignIn can return it; any other error means a wrong
// token.
type SignInError struct {
	Status int
	Text   string
}

// Error implements error.
func (e *SignInError) Error() string { return e.Text }

// loginForm is the body of the login page.
type loginForm struct {
	Wrong string
	Back  string // path to redirect to after sign-in
}

func (p *Page) login(w http.ResponseWriter, r *http.Request) error {
	p.render(w, r, http.StatusOK, "login", "Sign in", loginForm{Back: p.localPath(r.URL.Query().Get("back"))})
	return nil
}

func (p *Page) signIn(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	back := p.localPath(r.PostForm.Get("back"))
	err := p.SignIn(w, r, strings.TrimSpace(r.PostForm.Get("token")))
	if err == nil {
		http.Redirect(w, r, back, http.StatusSeeOther) //nolint:gosec // localPath returns only local paths
		return nil
	}
	why := &SignInError{http.StatusUnauthorized, "This is not the admin token."}
	errors.As(err, &why)
	p.render(w, r, why.Status, "login", "Sign in", loginForm{Wrong: why.Text, Back: back})
	return nil
}

func (p *Page) signOut(w http.ResponseWriter, r *http.Request) error {
	if err := p.SignOut(w, r); err != nil {
		if failed := (*SignInError)(nil); errors.As(err, &failed) {
			return &pageError{failed.Status, failed.Text}
		}
		return err
	}
	p.redirect(w, r, "/login", "")
	return nil
}
