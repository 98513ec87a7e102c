package ui

import (
	"net/http"
	"strings"
	"testing"
)

// Without scripts, the form is shown again with a warning if DocsGPT does not list a source. The key is created when it is confirmed.
func TestUnknownSourcesAreConfirmed(t *testing.T) {
	w := newTestServer(t)
	const listed = "66a1f0c2d4b5e6f708192a3b"
	send := func(sources, seen string, pairs ...string) response {
		return w.post("/new", append([]string{
			"nonce", w.field(w.get("/new").body, "nonce"), "name", "n", "binding", "source", "sources", sources, "unknown_sources", seen,
		}, pairs...)...)
	}
	before := w.count()
	a := send(listed+"\nmanual-1\nmanual-2", "")
	w.want(a, http.StatusUnprocessableEntity, "The key was not created yet.", "manual-1, manual-2", "Create key anyway")
	if w.count() != before {
		t.Fatal("the key is created without a confirmation")
	}
	if !strings.Contains(a.body, `<textarea name="unknown_sources" id="unknown_sources" hidden>manual-1`+"\n"+`manual-2</textarea>`) {
		t.Error("the form does not contain the confirmation")
	}
	// Other errors come first, and the confirmation stays in the form.
	a = send("manual-1", "manual-1", "not_before", "soon")
	w.want(a, http.StatusUnprocessableEntity, "The key was not created. Correct the field")
	if strings.Contains(a.body, "not created yet") || strings.Contains(a.body, "anyway") {
		t.Error("the form asks for a confirmation again")
	}
	w.want(send("other", "manual-1\nmanual-2"), http.StatusUnprocessableEntity, "does not list this source", "other")
	w.want(send(listed+"\nmanual-1", "manual-1\nmanual-2"), http.StatusCreated)
	w.want(send(strings.ToUpper(listed), ""), http.StatusCreated)
	w.want(send("", "", "source", listed), http.StatusCreated)
	if got := w.count() - before; got != 3 {
		t.Errorf("%d keys are created", got)
	}
	// Nothing is known about sources that cannot be listed.
	w = newTestServer(t, func(o *Options) { o.Service.Sources = nil })
	w.want(send("manual-1", ""), http.StatusCreated)
}
