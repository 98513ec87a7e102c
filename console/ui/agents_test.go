package ui

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/console/ui/internal/fixtures"
	"github.com/docsgate/docsgate/keys"
)

// The form offers and accepts only the agents in the configuration and keys of other feeds.
func TestOffers(t *testing.T) {
	w := newTestServer(t)
	form := w.get("/new")
	w.want(form, http.StatusOK, "{env.A}", "{env.BOT_KEY}", "partner.2025")
	if strings.Contains(form.body, "status-page") || strings.Contains(form.body, `name="agent_id"`) {
		t.Error("a key without an agent is offered, or an ID is asked for")
	}
	_, byPlaceholder := w.make("name", "a", "binding", "agent", "agent", "{env.A}")
	if key := w.desk.Store.Lookup(keys.DigestOf(byPlaceholder)); key == nil || key.Binding.Agent.IsZero() {
		t.Errorf("%+v", key)
	}
	send := func(pairs ...string) response {
		return w.post("/new", append([]string{"nonce", w.field(w.get("/new").body, "nonce"), "name", "n", "binding", "agent"}, pairs...)...)
	}
	before := w.count()
	var said []string
	for _, reference := range []string{"{file./etc/hostname}", "{file./nowhere}", "{env.HOME}"} {
		a := send("agent", reference)
		w.want(a, http.StatusUnprocessableEntity, "not listed in the configuration")
		said = append(said, strings.ReplaceAll(a.body, w.field(a.body, "nonce"), ""))
	}
	if said[0] != said[1] || said[0] != said[2] || w.count() != before {
		t.Errorf("the answers differ, or a key was made: %d", w.count()-before)
	}
	w.want(send("agent", "{env.A}", "agent_id", "x"), http.StatusUnprocessableEntity, "not both")
	w.want(w.get("/audit"), http.StatusOK, "Rejected", "{file./etc/hostname}")
}

// An ID can be typed if the form does not offer all keys.
func TestOffersLimit(t *testing.T) {
	w := newTestServer(t)
	var many fixtures.ReadOnlyFeed
	for i := range 300 {
		id := fmt.Sprintf("agent_%03d", i)
		many = append(many, keys.Key{ID: id, Name: id, Digest: fixtures.Digest(id), Binding: keys.Binding{Agent: keys.NewSecret("k" + id)}})
	}
	if _, err := w.desk.Store.Replace("docsgpt:db", many); err != nil {
		t.Fatal(err)
	}
	form := w.get("/new")
	w.want(form, http.StatusOK, "Enter the ID of another key")
	if n := strings.Count(form.body, `<option value="agent_`); n != 200 && n != 199 {
		t.Errorf("%d are offered", n)
	}
}

// If there is no agent to choose, the form says so.
func TestNoAgentsOffered(t *testing.T) {
	w := newTestServer(t)
	w.desk.Agents = nil
	w.desk.Store.Remove(fixtures.ReadOnlyFeed{}.Name())
	w.want(w.get("/new"), http.StatusOK, "No agents are listed.", "docsgate_console")
}
