package ui

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/console/keyservice"
)

func TestLogin(t *testing.T) {
	out := 0
	w := newTestServer(t, func(o *Options) {
		o.SignIn = func(w http.ResponseWriter, _ *http.Request, token string) error {
			switch token {
			case "right":
				http.SetCookie(w, &http.Cookie{Name: "in", Value: "1"})
				return nil
			case "flood":
				return &SignInError{http.StatusTooManyRequests, "Wait a minute."}
			}
			return errors.New("wrong")
		}
		o.SignOut = func(http.ResponseWriter, *http.Request) error { out++; return nil }
	})
	for name, tc := range map[string]struct {
		token, back string
		status      int
		to, says    string
	}{
		"the right token":       {" right ", "", http.StatusSeeOther, "/", ""},
		"then back":             {"right", "/audit?key=a", http.StatusSeeOther, "/audit?key=a", ""},
		"never to another site": {"right", "https://other.example", http.StatusSeeOther, "/", ""},
		"a wrong token":         {"guess-<b>", "/audit", http.StatusUnauthorized, "", "This is not the admin token."},
		"too many":              {"flood", "", http.StatusTooManyRequests, "", "Wait a minute."},
		"no token":              {"", "", http.StatusUnauthorized, "", "This is not the admin token."},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			a := w.post("/login", "token", tc.token, "back", tc.back)
			if a.Code != tc.status || a.Header().Get("Location") != tc.to {
				t.Fatalf("status %d to %q", a.Code, a.Header().Get("Location"))
			}
			w.want(a, tc.status, tc.says)
			if tc.token != "" && tc.to == "" && strings.Contains(a.body, tc.token) {
				t.Error("the token is sent back")
			}
		})
	}
	w.want(w.get("/login?back=/audit"), 200, "Sign in")
	w.leadsTo(w.post("/logout"), "/login")
	if out != 1 {
		t.Errorf("signed out %d times", out)
	}
	if strings.Contains(newTestServer(t).get("/").body, "Sign out") {
		t.Error("the page offers to sign out without sign-in")
	}
}

func TestIsPublic(t *testing.T) {
	for path, want := range map[string]bool{
		"/login": true, "/theme": true, "/assets/" + assetsByFile["base.css"].name: true,
		"/": false, "/new": false, "/assets/": false, "/assets/../new": false, "/login/x": false, "/try": false, "/keys/login": false,
	} {
		if got := IsPublic(&http.Request{URL: mustURL(path)}); got != want {
			t.Errorf("%s: %t", path, got)
		}
	}
}

func TestErrorPages(t *testing.T) {
	w := newTestServer(t)
	for _, status := range []int{401, 403, 404, 429, 500} {
		rec := httptest.NewRecorder()
		w.page.Refuse(rec, httptest.NewRequest(http.MethodGet, "/x", nil), status, "")
		if rec.Code != status || rec.Header().Get("Content-Security-Policy") != contentPolicy || !strings.Contains(rec.Body.String(), "<h1>") {
			t.Errorf("status %d: %d %v", status, rec.Code, rec.Header())
		}
	}
}

func TestPlayground(t *testing.T) {
	var gotToken, gotQuestion string
	w := newTestServer(t, func(o *Options) {
		o.Service.TestQuery = func(_ context.Context, q keyservice.TestQuestion, to io.Writer) (int, error) {
			token, question := q.Token, q.Text
			gotToken, gotQuestion = token, question
			switch question {
			case "refuse":
				_, err := io.WriteString(to, `data: {"type": "error", "error": "The API key is missing or not valid."}`+"\n\n")
				return http.StatusUnauthorized, err
			case "break":
				_, err := io.WriteString(to, `data: {"type": "answer", "answer": "Half `)
				return http.StatusOK, errors.Join(err, errors.New("cut"))
			}
			_, err := io.WriteString(to, `data: {"type": "answer", "answer": "42"}`+"\n\n")
			return http.StatusOK, err
		}
	})
	a := w.post("/try", "token", "dgk_x", "question", " How? ")
	if gotToken != "dgk_x" || gotQuestion != "How?" || a.Header().Get("Content-Type") != "text/event-stream; charset=utf-8" || !a.Flushed {
		t.Errorf("asked %q with %q; headers %v, flushed %t", gotQuestion, gotToken, a.Header(), a.Flushed)
	}
	if !strings.HasPrefix(a.body, `data: {"type": "answer", "answer": "42"}`) || !strings.HasSuffix(a.body, `data: {"type":"done","status":200}`+"\n\n") {
		t.Errorf("the stream is %q", a.body)
	}
	if a = w.post("/try", "token", "t", "question", "refuse"); !strings.Contains(a.body, "not valid") || !strings.Contains(a.body, `"status":401`) {
		t.Errorf("error page: %q", a.body)
	}
	a = w.post("/try", "token", "t", "question", "break")
	if !strings.Contains(a.body, "\n\ndata: "+`{"type":"done","status":200,"error":"The gate could not be reached`) || len(w.faults) != 1 {
		t.Errorf("a broken stream is %q, faults %v", a.body, w.faults)
	}
	gotToken = ""
	for _, form := range [][]string{{"token", "t"}, {"question", "q"}, {"token", "t", "question", strings.Repeat("q", maxQuestion+1)}} {
		w.want(w.post("/try", form...), http.StatusUnprocessableEntity)
	}
	w.want(w.post("/try?token=t&question=q"), http.StatusUnprocessableEntity)
	if gotToken != "" {
		t.Error("a token in the URL was accepted")
	}
	w.page.Service.TestQuery = nil
	w.want(w.post("/try", "token", "t", "question", "q"), http.StatusNotFound)
}
