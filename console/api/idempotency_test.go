package api

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

func (w *testServer) total() int {
	w.t.Helper()
	return decoded[listing](w.call("GET", "/v1/keys?feed="+w.desk.Feed, "").want(http.StatusOK)).Total
}

func TestIdempotentRetrySameResponse(t *testing.T) {
	w := newTestServer(t)
	first := w.call("POST", "/v1/keys", newKey, "Idempotency-Key", "one").want(http.StatusCreated)
	again := w.call("POST", "/v1/keys", newKey, "Idempotency-Key", "one").want(http.StatusCreated)
	if again.Body != first.Body || again.Header.Get("Location") != first.Header.Get("Location") ||
		again.Header.Get("Idempotency-Replayed") != "true" || first.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("first %v %s\nagain %v %s", first.Header, first.Body, again.Header, again.Body)
	}
	w.call("POST", "/v1/keys", strings.Replace(newKey, "Docs", "Other", 1), "Idempotency-Key", "one").
		problem(http.StatusUnprocessableEntity, "idempotency_key_reused")
	w.call("POST", "/v1/keys", newKey, "Idempotency-Key", "two").want(http.StatusCreated)
	w.call("POST", "/v1/keys", newKey).want(http.StatusCreated)
	if n := w.total(); n != 3 {
		t.Errorf("there are %d keys", n)
	}
}

func TestIdempotentRotation(t *testing.T) {
	w := newTestServer(t)
	a, b := w.makeKey(), w.makeKey()
	first := w.call("POST", "/v1/keys/"+a.ID+"/rotate", `{"grace":"1h"}`, "Idempotency-Key", "one").want(http.StatusOK)
	again := w.call("POST", "/v1/keys/"+a.ID+"/rotate", `{"grace":"1h"}`, "Idempotency-Key", "one").want(http.StatusOK)
	if first.Body != again.Body || w.decision(again.key().Token) != keys.Allowed {
		t.Errorf("first %s\nagain %s", first.Body, again.Body)
	}
	// Idempotency keys are separate for each kind of request and each key.
	if got := w.call("POST", "/v1/keys/"+b.ID+"/rotate", `{"grace":"1h"}`, "Idempotency-Key", "one").want(http.StatusOK).key(); got.ID != b.ID {
		t.Errorf("rotated %s instead of %s", got.ID, b.ID)
	}
}

// The token is in memory only for some time. What is stored longer contains the ID of the key.
func TestLateRetryGetsKeyID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTestServer(t)
		made := w.call("POST", "/v1/keys", newKey, "Idempotency-Key", "one").want(http.StatusCreated).key()
		time.Sleep(storedFor - time.Second)
		w.call("POST", "/v1/keys", newKey, "Idempotency-Key", "one").want(http.StatusCreated)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		p := w.call("POST", "/v1/keys", newKey, "Idempotency-Key", "one").problem(http.StatusConflict, "idempotency_key_completed")
		if p.Key != made.ID || !strings.Contains(p.Detail, made.ID) || !strings.Contains(p.Detail, "rotate") {
			t.Errorf("%+v", p)
		}
		w.call("POST", "/v1/keys", newKey+" ", "Idempotency-Key", "one").
			problem(http.StatusUnprocessableEntity, "idempotency_key_reused")
		if n := len(w.api.IdempotencyCache.byID) + len(w.api.IdempotencyCache.order); n != 0 {
			t.Errorf("%d requests are still in memory", n)
		}
	})
}

func TestRetryAfterRestartGetsKeyID(t *testing.T) {
	w := newTestServer(t)
	made := w.call("POST", "/v1/keys", newKey, "Idempotency-Key", "one").want(http.StatusCreated).key()
	w.open()
	if p := w.call("POST", "/v1/keys", newKey, "Idempotency-Key", "one").problem(http.StatusConflict, "idempotency_key_completed"); p.Key != made.ID {
		t.Errorf("%+v", p)
	}
	if n := w.total(); n != 1 {
		t.Errorf("there are %d keys", n)
	}
}

// After a crash between two writes it is unknown whether the key was created, so a retry creates none.
func TestRetryOfInterruptedRequest(t *testing.T) {
	w := newTestServer(t)
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/keys", http.NoBody)
	r.Header.Set("Idempotency-Key", "one")
	name, err := w.api.idempotencyKey(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.desk.Registry.PutIdempotencyRecord(t.Context(), name, fmt.Sprintf("%x", sha256.Sum256([]byte(newKey)))); err != nil {
		t.Fatal(err)
	}
	w.call("POST", "/v1/keys", newKey, "Idempotency-Key", "one").problem(http.StatusConflict, "idempotency_key_in_doubt")
}

func TestRetryOfRejectedRequest(t *testing.T) {
	w := newTestServer(t)
	w.call("POST", "/v1/keys", `{"name":"a","source":"bad"}`, "Idempotency-Key", "one").problem(http.StatusUnprocessableEntity, "invalid")
	w.call("POST", "/v1/keys", newKey, "Idempotency-Key", "one").want(http.StatusCreated)
}

func TestIdempotencyKeysPerActor(t *testing.T) {
	w := newTestServer(t, func(o *Options) {
		o.Actor = func(r *http.Request) registry.Actor { return registry.Actor{Name: r.Header.Get("X-Who")} }
	})
	a := w.call("POST", "/v1/keys", newKey, "Idempotency-Key", "one", "X-Who", "alice").want(http.StatusCreated).key()
	b := w.call("POST", "/v1/keys", newKey, "Idempotency-Key", "one", "X-Who", "bob").want(http.StatusCreated).key()
	if a.ID == b.ID || a.Token == b.Token {
		t.Error("bob got alice's token")
	}
}

func TestConcurrentRetriesCreateOneKey(t *testing.T) {
	w := newTestServer(t)
	var all sync.WaitGroup
	bodies := make([]string, 20)
	for i := range bodies {
		all.Go(func() {
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/keys", strings.NewReader(newKey))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", "one")
			rec := httptest.NewRecorder()
			w.api.ServeHTTP(rec, r)
			bodies[i] = fmt.Sprint(rec.Code, rec.Body)
		})
	}
	all.Wait()
	for _, body := range bodies {
		if body != bodies[0] || !strings.HasPrefix(body, "201 ") {
			t.Errorf("%s\n%s", body, bodies[0])
		}
	}
	if n := w.total(); n != 1 {
		t.Errorf("there are %d keys", n)
	}
}

// The cache is bounded: the oldest response is evicted first, and zeroed.
func TestIdempotencyCacheFull(t *testing.T) {
	s := &IdempotencyCache{}
	var first *idempotencyEntry
	for i := range maxStored + 1 {
		entry, mine, err := s.begin(fmt.Sprint(i), "f")
		if err != nil || !mine {
			t.Fatal(mine, err)
		}
		s.end(entry, &storedResponse{body: []byte("token")})
		if i == 0 {
			first = entry
		}
	}
	if len(s.byID) != maxStored || len(s.order) != maxStored || s.of(first) != nil {
		t.Errorf("%d are kept", len(s.byID))
	}
	pending := &IdempotencyCache{}
	for i := range maxStored {
		if _, _, err := pending.begin(fmt.Sprint(i), "f"); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := pending.begin("one more", "f"); err == nil {
		t.Error("the number of requests in flight is not bounded")
	}
}

func TestInvalidIdempotencyKeys(t *testing.T) {
	w := newTestServer(t)
	for _, name := range []string{"", "a b", strings.Repeat("x", 256), "ä"} {
		p := w.call("POST", "/v1/keys", newKey, "Idempotency-Key", name).problem(http.StatusBadRequest, "invalid_parameter")
		if p.Errors[0].Field != "Idempotency-Key" {
			t.Errorf("%+v", p)
		}
	}
}
