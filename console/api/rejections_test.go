package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys/activity"
)

type rejectionList struct {
	Rejections []Rejection `json:"rejections"`
}

func TestRejections(t *testing.T) {
	w := newTestServer(t)
	w.call("GET", "/v1/rejections", "").problem(http.StatusNotImplemented, "not_running")

	log := activity.New()
	w.desk.Activity = log
	list := func(query string) []Rejection {
		return decoded[rejectionList](w.call("GET", "/v1/rejections"+query, "").want(http.StatusOK)).Rejections
	}
	if got := list(""); len(got) > 0 {
		t.Errorf("before the first: %+v", got)
	}
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	for i, reason := range []string{"rate_limited", "rate_limited", "origin_not_allowed"} {
		log.Rejections.Add(activity.Rejection{
			At: at.Add(time.Duration(i) * time.Second), RequestID: string(rune('a' + i)), Key: "from-file", Endpoint: "stream", Reason: reason,
		})
	}
	log.Rejections.Add(activity.Rejection{At: at, RequestID: "x", Endpoint: "answer", Reason: "unknown_token"})
	want := Rejection{at.Add(time.Second).UTC(), "b", "from-file", "stream", "rate_limited"}
	if got := list("?request_id=b"); len(got) != 1 || got[0] != want {
		t.Errorf("by request ID: %+v", got)
	}
	for query, n := range map[string]int{"": 4, "?key=from-file": 3, "?key=from-file&request_id=x": 0, "?limit=2": 2, "?request_id=unknown": 0} {
		if got := list(query); len(got) != n {
			t.Errorf("%q: %+v", query, got)
		}
	}
	w.call("GET", "/v1/rejections?limit=0", "").problem(http.StatusBadRequest, "invalid_parameter")
	w.call("GET", "/v1/rejections?reason=x", "").problem(http.StatusBadRequest, "invalid_parameter")

	key := decoded[Key](w.call("GET", "/v1/keys/from-file", "").want(http.StatusOK))
	if r := key.Rejections; len(r) != 2 || r[0] != (RejectionCount{"rate_limited", 2, at.Add(time.Second).UTC()}) || r[1].Reason != "origin_not_allowed" {
		t.Errorf("of the key: %+v", r)
	}
	if key.Leaked != nil {
		t.Errorf("leaked: %+v", key.Leaked)
	}
	log.Leaks.Report(w.desk.Store.Get("from-file"), "https://docs.example.com", at)
	key = decoded[Key](w.call("GET", "/v1/keys/from-file", "").want(http.StatusOK))
	if want := (Leak{at.UTC(), "https://docs.example.com"}); key.Leaked == nil || *key.Leaked != want {
		t.Errorf("leaked: %+v, want %+v", key.Leaked, want)
	}
	if body := w.call("GET", "/v1/keys", "").want(http.StatusOK).Body; !strings.Contains(body, `"rejections":[`) {
		t.Errorf("in the list: %s", body)
	}
}

func TestListOrigins(t *testing.T) {
	w := newTestServer(t)
	w.call("GET", "/v1/keys/from-file/origins", "").problem(http.StatusNotImplemented, "not_running")
	w.desk.Activity = activity.New()
	w.call("GET", "/v1/keys/unknown/origins", "").problem(http.StatusNotFound, "key_not_found")
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	w.desk.Activity.Origins.Record("from-file", "https://docs.example.com", at)
	list := decoded[OriginList](w.call("GET", "/v1/keys/from-file/origins", "").want(http.StatusOK))
	if want := (OriginUse{"https://docs.example.com", 1, at, at}); len(list.Origins) != 1 || list.Origins[0] != want || list.Dropped {
		t.Errorf("%+v", list)
	}
}
