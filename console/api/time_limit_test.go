package api

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// Time limits can be durations from the request on, as in the command line and the console.
func TestDurationsAsTimeLimits(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	w := newTestServer(t, func(o *Options) { o.Now = func() time.Time { return now } })
	for text, want := range map[string]time.Duration{"36500d": 36500 * 24 * time.Hour, "5200w": 5200 * 7 * 24 * time.Hour, "100y": 36500 * 24 * time.Hour} {
		k := w.call("POST", "/v1/keys", `{"name":"n","source":"s","expires":"`+text+`"}`).want(http.StatusCreated).key()
		if k.Expires == nil || !k.Expires.Equal(now.Truncate(time.Second).Add(want)) {
			t.Errorf("%s: expires %v", text, k.Expires)
		}
		changed := w.call("PATCH", "/v1/keys/"+k.ID, `{"not_before":"1h30m","expires":"50y"}`).want(http.StatusOK).key()
		if !changed.NotBefore.Equal(now.Truncate(time.Second).Add(90*time.Minute)) || !changed.Expires.Equal(now.Truncate(time.Second).Add(50*365*24*time.Hour)) {
			t.Errorf("changed: not before %v, expires %v", changed.NotBefore, changed.Expires)
		}
		if k := w.call("PATCH", "/v1/keys/"+k.ID, `{"expires":null}`).want(http.StatusOK).key(); k.Expires != nil {
			t.Errorf("removed: %v", k.Expires)
		}
	}
	got := w.call("POST", "/v1/import", `{"keys":[{"id":"i","source":"s","expires":"99y"}]}`).want(http.StatusOK)
	if k := w.call("GET", "/v1/keys/i", "").want(http.StatusOK).key(); k.Expires == nil || !k.Expires.Equal(now.Truncate(time.Second).Add(99*365*24*time.Hour)) {
		t.Errorf("imported: %s, expires %v", got.Body, k.Expires)
	}
	for _, value := range []string{`"90"`, `"-1d"`, `"999y"`, `"tomorrow"`, `90`, `true`, `{"days":90}`, `["90d"]`} {
		p := w.call("POST", "/v1/keys", `{"name":"n","source":"s","expires":`+value+`}`).problem(http.StatusUnprocessableEntity, "invalid")
		if len(p.Errors) != 1 || p.Errors[0].Pointer != "/expires" || !strings.Contains(p.Errors[0].Message, "or a duration such as 90d") {
			t.Errorf("%s: %+v", value, p.Errors)
		}
	}
	if p := w.call("POST", "/v1/keys", `{"name":"n","source":"s","expires":"0s"}`).problem(http.StatusUnprocessableEntity, "invalid"); p.Errors[0].Pointer != "/expires" {
		t.Errorf("now: %+v", p.Errors)
	}
	// The time at which a key was created must be exact.
	w.call("POST", "/v1/import", `{"keys":[{"id":"j","source":"s","created":"1d"}]}`).problem(http.StatusUnprocessableEntity, "invalid")
}
