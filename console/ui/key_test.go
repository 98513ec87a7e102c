package ui

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/activity"
	"github.com/docsgate/docsgate/keys/registry"
)

// editForm submits the form of a key's page, with some fields changed.
func (w *testServer) edit(id string, pairs ...string) response {
	w.Helper()
	page := w.get("/keys/" + id).body
	form := url.Values{}
	for _, name := range []string{"was_name", "was_not_before", "was_expires"} {
		form.Set(name, w.field(page, name))
		form.Set(strings.TrimPrefix(name, "was_"), w.field(page, name))
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, "/keys/"+id, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.do(r)
}

func (w *testServer) leadsTo(a response, to string) {
	w.Helper()
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != to {
		w.Fatalf("status %d to %q, want %q:\n%s", a.Code, a.Header().Get("Location"), to, a.body)
	}
}

func TestUpdate(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeUsual()
	before := *w.desk.Store.Get(id)

	w.leadsTo(w.edit(id), "/keys/"+id+"?done=same")
	w.leadsTo(w.edit(id, "name", "New <name>"), "/keys/"+id+"?done=changed")
	w.want(w.get("/keys/"+id+"?done=changed"), 200, "The changes are saved and in effect.", "New <name>", `name, was "Docs site"`)
	w.leadsTo(w.edit(id, "expires", "2027-02-03T04:05"), "/keys/"+id+"?done=changed")
	k := w.desk.Store.Get(id)
	if k.Name != "New <name>" || k.Digest != before.Digest || !k.Expires.Equal(time.Date(2027, 2, 3, 4, 5, 0, 0, time.UTC)) {
		t.Errorf("the key is %+v", k)
	}
	w.leadsTo(w.edit(id, "expires", "2027-02-03T04:05"), "/keys/"+id+"?done=same") // as browsers send it back, without seconds
	w.leadsTo(w.edit(id, "expires", ""), "/keys/"+id+"?done=changed")
	if !w.desk.Store.Get(id).Expires.IsZero() {
		t.Error("the end is still there")
	}

	w.want(w.edit(id, "name", ""), http.StatusUnprocessableEntity, "give the key a name"[1:])
	w.want(w.edit(id, "expires", "whenever"), http.StatusUnprocessableEntity, errTimeFormat)
	if got := w.get("/keys/" + id + "?done=<script>"); strings.Contains(text(got.body), "<script>") {
		t.Error("the page contains text from its URL")
	}
}

// Changes by others since the form was opened remain, unless the form changes the same field.
func TestUpdateKeepsOtherFields(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeUsual()
	form := []string{
		"was_name", "Docs site", "name", "Mine", "was_expires", "", "expires", "", "was_not_before", "", "not_before", "",
	}
	w.edit(id, "expires", "2028-01-01T00:00")
	w.leadsTo(w.post("/keys/"+id, form...), "/keys/"+id+"?done=changed")
	if k := w.desk.Store.Get(id); k.Name != "Mine" || k.Expires.IsZero() {
		t.Errorf("the key is %+v", k)
	}
}

func TestStates(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeUsual()
	w.leadsTo(w.post("/keys/"+id+"/disable"), "/keys/"+id+"?done=disabled")
	w.want(w.get("/keys/"+id), 200, "Disabled", "Enable")
	w.leadsTo(w.post("/keys/"+id+"/enable"), "/keys/"+id+"?done=enabled")
	w.want(w.get("/keys/"+id+"/revoke"), 200, "Revoke this key?", "Docs site", id, "This cannot be undone.")
	if w.desk.Store.Get(id).State != keys.Active {
		t.Fatal("it was revoked by a look at the page")
	}
	w.leadsTo(w.post("/keys/"+id+"/revoke"), "/keys/"+id+"?done=revoked")
	if w.desk.Store.Get(id).State != keys.Revoked {
		t.Error("it is not revoked")
	}
	a := w.get("/keys/" + id)
	w.want(a, 200, "Revoked")
	if strings.Contains(a.body, "Save changes") || strings.Contains(a.body, "/rotate") {
		t.Error("a revoked key is offered to be changed")
	}
	for _, again := range []response{
		w.post("/keys/" + id + "/enable"),
		w.post("/keys/"+id, "was_name", "", "name", "x"),
		w.post("/keys/"+id+"/rotate", "grace", "0", "nonce", w.page.FormNonces.issue(rotatePurpose(id))),
	} {
		w.want(again, http.StatusConflict, "The key is revoked permanently.")
	}
}

func TestKeysOfOtherFeedsAreReadOnly(t *testing.T) {
	w := newTestServer(t)
	a := w.get("/keys/status-page")
	w.want(a, 200, "It is read-only here. Change it in its feed.", "file:keys.yaml")
	if strings.Contains(a.body, "Save changes") || strings.Contains(a.body, "/keys/status-page/") {
		t.Error("it is offered to be changed")
	}
	for _, no := range []response{
		w.post("/keys/status-page", "name", "x"), w.post("/keys/status-page/disable"), w.post("/keys/status-page/enable"),
		w.post("/keys/status-page/revoke"), w.get("/keys/status-page/revoke"), w.post("/keys/status-page/delete"), w.get("/keys/status-page/delete"), w.get("/keys/status-page/rotate"),
		w.post("/keys/status-page/rotate", "grace", "0"),
	} {
		w.want(no, http.StatusConflict, "The key comes from the feed file:keys.yaml and is read-only here.")
	}
	for _, no := range []response{w.post("/keys/none/revoke"), w.post("/keys/none/delete"), w.get("/keys/none/rotate"), w.post("/keys/none", "name", "x")} {
		w.want(no, http.StatusNotFound, "There is no key with this ID.")
	}
}

func TestTimeFormats(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeUsual()
	for _, c := range []struct {
		text string
		want time.Time
	}{
		{"90d", start.Add(90 * 24 * time.Hour)},
		{"2w", start.Add(14 * 24 * time.Hour)},
		{"1y", start.Add(365 * 24 * time.Hour)},
		{"2100-01-31T09:00:00+01:00", time.Date(2100, 1, 31, 8, 0, 0, 0, time.UTC)},
		{"2100-01-31T09:00", time.Date(2100, 1, 31, 9, 0, 0, 0, time.UTC)},
		{"2100-01-31", time.Date(2100, 1, 31, 0, 0, 0, 0, time.UTC)},
	} {
		w.leadsTo(w.edit(id, "expires", c.text), "/keys/"+id+"?done=changed")
		if got := w.desk.Store.Get(id).Expires; !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.text, got, c.want)
		}
	}
}

func TestRotate(t *testing.T) {
	for name, tc := range map[string]struct {
		form  []string
		grace time.Duration // of the old token
		wrong string
	}{
		"not at all":             {[]string{"grace", "0"}, 0, ""},
		"an hour":                {[]string{"grace", "1h"}, time.Hour, ""},
		"a month":                {[]string{"grace", "30d"}, 30 * 24 * time.Hour, ""},
		"own hours":              {[]string{"grace", "own", "custom", "36h"}, 36 * time.Hour, ""},
		"own days":               {[]string{"grace", "own", "custom", "1.5d"}, 36 * time.Hour, ""},
		"own weeks":              {[]string{"grace", "own", "custom", "2w"}, 14 * 24 * time.Hour, ""},
		"own minutes":            {[]string{"grace", "own", "custom", " 43200m "}, 30 * 24 * time.Hour, ""},
		"no unit":                {[]string{"grace", "own", "custom", "3"}, 0, "30 days at most"},
		"too long":               {[]string{"grace", "own", "custom", "31d"}, 0, "30 days at most"},
		"far too long":           {[]string{"grace", "own", "custom", "1e300d"}, 0, "30 days at most"},
		"less than nothing":      {[]string{"grace", "own", "custom", "-1d"}, 0, "30 days at most"},
		"not a number":           {[]string{"grace", "own", "custom", "NaNd"}, 0, "30 days at most"},
		"no choice":              {nil, 0, "Choose a grace period"},
		"a duration, not chosen": {[]string{"grace", "24h", "custom", "3d"}, 0, `choose "Custom"`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestServer(t)
			id, old := w.makeUsual()
			form := append([]string{"nonce", w.field(w.get("/keys/"+id+"/rotate").body, "nonce")}, tc.form...)
			a := w.post("/keys/"+id+"/rotate", form...)
			if tc.wrong != "" {
				w.want(a, http.StatusUnprocessableEntity, tc.wrong)
				if w.desk.Store.Lookup(keys.DigestOf(old)) == nil {
					t.Error("the key was rotated")
				}
				return
			}
			w.want(a, http.StatusOK, "A new token for Docs site", "It is shown only once")
			token := tokens.FindString(a.body)
			if k := w.desk.Store.Lookup(keys.DigestOf(token)); token == old || k == nil || k.ID != id {
				t.Error("no new token of the same key")
			}
			if strings.Contains(a.body, old) {
				t.Error("the old token is shown")
			}
			switch was := w.desk.Store.Get(id).PreviousTokens; {
			case tc.grace == 0 && len(was) != 0:
				t.Error("the old token still counts")
			case tc.grace > 0 && (len(was) != 1 || !was[0].Until.Equal(start.Add(tc.grace))):
				t.Errorf("the old token counts until %v", was)
			}
			w.want(w.post("/keys/"+id+"/rotate", form...), http.StatusConflict, "This key was already rotated")
			if w.desk.Store.Lookup(keys.DigestOf(token)) == nil {
				t.Error("a reload rotated the key once more")
			}
			if page := w.get("/keys/" + id).body; strings.Contains(page, token) {
				t.Error("the token is shown again")
			}
		})
	}
}

func TestPreviousTokenUsed(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeUsual()
	w.post("/keys/"+id+"/rotate", "nonce", w.page.FormNonces.issue(rotatePurpose(id)), "grace", "7d")
	w.want(w.get("/keys/"+id), 200, "It has not been used since the rotation.")
	w.desk.Usage.Count(id, true, start.Add(time.Hour))
	w.desk.Clock.At = start.Add(90 * time.Minute)
	w.want(w.get("/keys/"+id), 200, "It is still used, last 30 minutes ago.")
	w.want(w.get("/"), 200, "previous token still used")
}

func TestUnusableKeyPage(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.make("name", "Bot", "binding", "agent", "agent", "{env.BOT_KEY}")
	w.desk.Registry.SetRules(registry.Rules{})
	w.want(w.get("/keys/"+id), 200, "This key is rejected.", "Unusable")
}

func TestAuditTrail(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeUsual()
	other, _ := w.make("name", "Other", "sources", "x")
	for range entriesPerPage {
		w.post("/keys/" + id + "/disable")
		w.post("/keys/" + id + "/enable")
	}
	first := w.get("/audit")
	w.want(first, 200, "Disabled", "alice from 192.0.2.7", "Older entries")
	if got := strings.Count(first.body, "<li>"); got != entriesPerPage {
		t.Errorf("%d entries on the page", got)
	}
	seen := 0
	for path := "/audit"; path != ""; {
		a := w.get(path)
		seen += strings.Count(a.body, "<li>")
		_, rest, more := strings.Cut(a.body, `rel="next" href="`)
		if path = ""; more {
			path, _, _ = strings.Cut(rest, `"`)
		}
	}
	if want := 2*entriesPerPage + 2; seen != want {
		t.Errorf("%d entries on all pages, want %d", seen, want)
	}
	if a := w.get("/audit?key=" + other); strings.Count(a.body, "<li>") != 1 || !strings.Contains(a.body, "Other") {
		t.Error("the trail of one key is not its own")
	}
	w.want(w.get("/audit?before=1"), 200, "There are no older entries.")
	w.want(w.get("/audit?before=nonsense&key=none"), 200, "There are no entries.")
}

// The page of a key shows which of its requests were rejected, and that it has leaked.
func TestRejectionsAndLeak(t *testing.T) {
	w := newTestServer(t)
	id, _ := w.makeUsual()
	w.desk.Activity = activity.New()
	if page := w.get("/keys/" + id).body; strings.Contains(page, "Rejected requests") || strings.Contains(page, "has leaked") {
		t.Error("a page without rejections shows some")
	}
	for range 3 {
		w.desk.Activity.Rejections.Add(activity.Rejection{At: w.desk.Clock.At, Key: id, Endpoint: "stream", Reason: "rate_limited"})
	}
	w.desk.Activity.Leaks.Report(w.desk.Store.Get(id), "https://shop.example", w.desk.Clock.At)
	w.want(w.get("/keys/"+id), 200, "Rejected requests", "rate_limited", "This secret key has leaked", "https://shop.example")
}
