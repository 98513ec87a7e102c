package caddymodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/usage/series"
)

// usageOf returns the usage of a key; "": of all keys.
func (i *storeTest) usageOf(id string) (u api.Usage) {
	i.t.Helper()
	path := "/v1/usage"
	if id != "" {
		path = "/v1/keys/" + id + "/usage"
	}
	status, body := i.call(http.MethodGet, path+"?since=2h", "")
	raw, err := json.Marshal(body)
	if err == nil {
		err = json.Unmarshal(raw, &u)
	}
	if status != http.StatusOK || err != nil {
		i.t.Fatalf("%s: %d %s, %v", path, status, raw, err)
	}
	return u
}

func TestUsageOverTime(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			i := newStoreTest(t)
			i.start(fmt.Sprintf(site, i.address, "limits {\nquestion_chars 100\n}"))
			id, token := i.create(`{"name":"Docs","agent":"{env.AGENT_ALPHA}"}`)
			_, other := i.create(`{"name":"Other","agent":"{env.AGENT_ALPHA}"}`)
			bearer := []string{"Authorization", "Bearer " + token}
			completion := func(stream bool) string {
				return fmt.Sprintf(`{"messages":[{"role":"user","content":"q"}],"stream":%v}`, stream)
			}
			i.ask("/stream", token, "q", "")
			i.ask("/api/answer", token, "q", "")
			i.send(http.MethodPost, "/v1/chat/completions", completion(false), bearer...)
			i.send(http.MethodPost, "/v1/chat/completions", completion(true), bearer...)
			i.ask("/api/answer", token, "[[fail=500]]", "")
			i.ask("/api/answer", token, strings.Repeat("x", 101), "")
			i.send(http.MethodPost, "/stream", `{"api_key":"`+token+`"}`)
			i.ask("/stream", "unknown", "q", "")
			i.ask("/api/answer", other, "q", "")

			total := i.usageOf(id).Total
			want := api.UsageCounts{
				Requests: 7, Succeeded: 4, Failed: 1, Rejected: api.UsageRejections{Limit: 1, Request: 1}, Streams: 2, Answers: 4,
			}
			got := api.UsageCounts{
				Requests: total.Requests, Succeeded: total.Succeeded, Failed: total.Failed, Aborted: total.Aborted, Rejected: total.Rejected,
				Streams: total.Streams, Answers: total.Answers, Dislikes: total.Dislikes, AnswersWithoutSources: total.AnswersWithoutSources,
			}
			if got != want {
				t.Errorf("usage of the key:\n%+v, want\n%+v", got, want)
			}
			if total.BytesSent < 500 || total.BytesReceived < 100 || total.Tokens == 0 || total.EstimatedTokens < 3000 {
				t.Errorf("sizes: %+v", total)
			}
			if total.FirstEvent == nil || total.AnswerTime == nil || total.AnswerTime.P95 < total.AnswerTime.P50 {
				t.Errorf("times: %+v, %+v", total.FirstEvent, total.AnswerTime)
			}
			all := i.usageOf("")
			if all.Total.Requests != 8 || len(all.Keys) != 2 || all.Keys[0] != (api.UsageOfKey{Key: id, Name: "Docs", Requests: 7}) {
				t.Errorf("usage of all keys: %+v, %+v", all.Total, all.Keys)
			}
			withQuota, quotaToken := i.create(`{"name":"Quota","agent":"{env.AGENT_ALPHA}","limits":{"tokens_per_day":100000}}`)
			i.ask("/api/answer", quotaToken, "q", "")
			if u := i.usageOf(withQuota).Total; u.Tokens != 0 || u.EstimatedTokens == 0 {
				t.Errorf("an estimate of a key with a quota: %+v", u)
			}
			i.send(http.MethodPost, "/v1/chat/completions", completion(true), "Authorization", "Bearer "+quotaToken)
			if u := i.usageOf(withQuota).Total; u.Tokens == 0 || u.Requests != 2 {
				t.Errorf("exact tokens of a key with a quota: %+v", u)
			}
			i.call(http.MethodPost, "/v1/keys/"+id+"/disable", "")
			i.ask("/stream", token, "q", "")
			if r := i.usageOf(id).Total.Rejected; r.Key != 1 {
				t.Errorf("after a request with a disabled key: %+v", r)
			}
		})
	}
}

// An answer that the client abandons is aborted, and its time does not count.
func TestUsageOfAbortedAnswer(t *testing.T) {
	i := newStoreTest(t)
	i.start(fmt.Sprintf(forwardModes["built-in"], i.address, ""))
	id, token := i.create(`{"name":"Docs","agent":"{env.AGENT_ALPHA}"}`)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.urls[0]+"/stream", strings.NewReader(`{"question":"q [[gap=60]]","api_key":"`+token+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cancel()
	feedtest.Eventually(t, "the aborted answer is counted", func() bool {
		total := i.usageOf(id).Total
		return total.Requests == 1 && total.Aborted == 1 && total.Succeeded == 0 && total.Answers == 0 && total.AnswerTime == nil
	})
}

// The usage survives a restart, and a reload loses nothing.
func TestUsageIsStored(t *testing.T) {
	i := newStoreTest(t)
	config := fmt.Sprintf(forwardModes["built-in"], i.address, "")
	i.start(config)
	id, token := i.create(`{"name":"Docs","agent":"{env.AGENT_ALPHA}"}`)
	for n := range 3 {
		if r := i.ask("/api/answer", token, "q", ""); r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
		switch n {
		case 0:
			if err := i.load(i.config(fmt.Sprintf(forwardModes["built-in"], i.address, "max_in_flight 7"))); err != nil {
				t.Fatal(err)
			}
		case 1:
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
			if err := i.load(i.config(config)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if u := i.usageOf(id); u.Total.Requests != 3 {
		t.Errorf("%d requests, want 3", u.Total.Requests)
	}
}

// The usage is the sum over all gates that share a database.
func TestUsageOfSeveralGates(t *testing.T) {
	i := newDatabaseTest(t)
	i.start(fmt.Sprintf(forwardModes["built-in"], i.address, ""))
	id, token := i.create(`{"name":"k","source":"` + sourceAlpha + `"}`)
	if r := i.ask("/api/answer", token, "Q", ""); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	other, err := pgstore.Open(t.Context(), pgstore.Options{URI: keys.NewSecret(os.Getenv("STORE_URI"))})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	batch := countersync.Batch[series.Row]{Writer: "other", Seq: 1, Deltas: []series.Row{
		{Key: id, Minute: time.Now().Unix() / 60, Counts: series.Counts{series.Requests: 5, series.Failed: 2}},
	}}
	if err := other.Series().Add(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if total := i.usageOf(id).Total; total.Requests != 6 || total.Failed != 2 || total.Succeeded != 4 {
		t.Errorf("%+v", total)
	}
}
