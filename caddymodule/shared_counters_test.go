package caddymodule_test

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/usage"
)

// What another gate counts is shown by this gate and counts for the quotas here, and what this one counts is added to it.
func TestCountsOfAnotherGate(t *testing.T) {
	i := newDatabaseTest(t)
	i.start(fmt.Sprintf(forwardModes["built-in"], i.address, "limits {\nquestions_per_day 4\n}"))
	id, token := i.create(`{"name":"k","source":"` + sourceAlpha + `"}`)
	if r := i.ask("/api/answer", token, "Q", ""); r.status != http.StatusOK {
		t.Fatalf("the first question: %d %s", r.status, r.body)
	}
	other, err := pgstore.Open(t.Context(), pgstore.Options{URI: keys.NewSecret(os.Getenv("STORE_URI"))})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	now := time.Now().Unix()
	asked := quota.Row{ID: id, Day: int32(now / (24 * 60 * 60)), QuestionsDay: 2, QuestionsMonth: 2}
	if err := other.SharedQuotas().Add(t.Context(), countersync.Batch[quota.Row]{Writer: "other", Seq: 1, Deltas: []quota.Row{asked}}); err != nil {
		t.Fatal(err)
	}
	used := usage.Row{ID: id, LastUsed: now / 60, Hour: now / (60 * 60)}
	used.Requests[usage.Hours-1] = 2
	if err := other.SharedUse().Add(t.Context(), countersync.Batch[usage.Row]{Writer: "other", Seq: 1, Deltas: []usage.Row{used}}); err != nil {
		t.Fatal(err)
	}
	feedtest.Eventually(t, "this gate knows the counts of the other", func() bool {
		_, key := i.call(http.MethodGet, "/v1/keys/"+id, "")
		requests := 0.0
		for _, n := range key["requests_24h"].([]any) {
			requests += n.(float64)
		}
		return requests == 3 && key["quota"].(map[string]any)["questions_today"] == 3.0
	})
	for n, want := range []int{http.StatusOK, http.StatusTooManyRequests} {
		if r := i.ask("/api/answer", token, "Q", ""); r.status != want {
			t.Errorf("question %d: %d %s, want %d", n+4, r.status, r.body, want)
		}
	}
	feedtest.Eventually(t, "the database has all counts", func() bool {
		questions := int64(0)
		if err := other.Quotas(t.Context(), func(r quota.Row) error { questions += r.QuestionsDay; return nil }); err != nil {
			t.Fatal(err)
		}
		return questions == 4
	})
}
