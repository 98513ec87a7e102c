package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Idempotency keys: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/. A client that received no response
// retries with the same Idempotency-Key. Within 10 minutes it gets the same response, with the token. That response is in memory
// only. After that, after a restart, or at another gate, it gets the ID of the created key, which the storage keeps, but no token.
const (
	idempotencyHeader = "Idempotency-Key"
	replayedHeader    = "Idempotency-Replayed"

	maxIdempotencyKey = 255
	maxStored         = 1000             // responses in memory
	storedFor         = 10 * time.Minute // how long a response is kept
)

// storedResponse is the response of a request that creates a token.
type storedResponse struct {
	status   int
	location string // header; may be empty
	key      string // ID of the key
	body     []byte // JSON, with the token
}

func (n *storedResponse) write(w http.ResponseWriter) {
	if n.location != "" {
		w.Header().Set("Location", n.location)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(n.status)
	_, _ = w.Write(n.body) // the client may be gone; it can retry
}

// IdempotencyCache keeps the responses of requests with an Idempotency-Key, including their tokens, for 10 minutes. The zero value
// is empty. Several APIs for the same registry can share it. Safe for concurrent use.
type IdempotencyCache struct {
	mu    sync.Mutex
	byID  map[string]*idempotencyEntry // by their names
	order []*idempotencyEntry          // the oldest first
}

// idempotencyEntry is a request with an Idempotency-Key.
type idempotencyEntry struct {
	name        string
	fingerprint string        // of the body
	done        chan struct{} // closed when the request is done

	response *storedResponse // nil: failed. Guarded by IdempotencyCache.mu once done is closed.
	timer    *time.Timer
}

// begin returns the entry of a name. mine reports whether the caller has to execute the request.
func (s *IdempotencyCache) begin(name, fingerprint string) (entry *idempotencyEntry, mine bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if entry, ok := s.byID[name]; ok {
		return entry, false, nil
	}
	if len(s.byID) >= maxStored {
		oldest := slices.IndexFunc(s.order, func(e *idempotencyEntry) bool { return e.response != nil })
		if oldest < 0 {
			p := newProblem(http.StatusServiceUnavailable, "busy", "Too many keys are being created concurrently. Try again.")
			p.header = http.Header{"Retry-After": {"1"}}
			return nil, false, p
		}
		s.forget(s.order[oldest])
	}
	entry = &idempotencyEntry{name: name, fingerprint: fingerprint, done: make(chan struct{})}
	if s.byID == nil {
		s.byID = make(map[string]*idempotencyEntry)
	}
	s.byID[name] = entry
	s.order = append(s.order, entry)
	return entry, true, nil
}

// end stores the outcome. nil removes the entry, so that the request can be retried.
func (s *IdempotencyCache) end(entry *idempotencyEntry, outcome *storedResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if outcome == nil {
		s.forget(entry)
	} else {
		entry.response = &storedResponse{outcome.status, outcome.location, outcome.key, bytes.Clone(outcome.body)}
		entry.timer = time.AfterFunc(storedFor, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.forget(entry)
		})
	}
	close(entry.done)
}

// of returns a copy of the stored response, or nil if the request failed or the response was removed.
func (s *IdempotencyCache) of(entry *idempotencyEntry) *storedResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	if entry.response == nil {
		return nil
	}
	a := *entry.response
	a.body = bytes.Clone(a.body)
	return &a
}

// forget removes an entry and zeroes its response. The caller holds mu.
func (s *IdempotencyCache) forget(entry *idempotencyEntry) {
	if s.byID[entry.name] != entry {
		return
	}
	delete(s.byID, entry.name)
	s.order = slices.DeleteFunc(s.order, func(e *idempotencyEntry) bool { return e == entry })
	if entry.timer != nil {
		entry.timer.Stop()
	}
	if entry.response != nil {
		clear(entry.response.body)
		entry.response = nil
	}
}

var errReused = newProblem(http.StatusUnprocessableEntity, "idempotency_key_reused",
	"This Idempotency-Key was already used with another body. Use a new one for each request, and the same one only to retry.")

// idempotent calls do, which creates a token, and writes the response. With an Idempotency-Key, do is called once for all retries.
func (a *api) idempotent(
	w http.ResponseWriter, r *http.Request, body []byte, do func(context.Context) (*storedResponse, error),
) error {
	// The request is completed even if the client disconnects: it may retry.
	ctx := context.WithoutCancel(r.Context())
	name, err := a.idempotencyKey(r)
	if err != nil {
		return err
	}
	if name == "" {
		outcome, err := do(ctx)
		if err == nil {
			outcome.write(w)
		}
		return err
	}
	sum := sha256.Sum256(body)
	fingerprint := hex.EncodeToString(sum[:])
	for {
		entry, mine, err := a.IdempotencyCache.begin(name, fingerprint)
		switch {
		case err != nil:
			return err
		case mine:
			return a.execute(ctx, w, r, entry, do)
		case entry.fingerprint != fingerprint:
			return errReused
		}
		select {
		case <-entry.done:
		case <-r.Context().Done():
			return r.Context().Err()
		}
		if outcome := a.IdempotencyCache.of(entry); outcome != nil {
			w.Header().Set(replayedHeader, "true")
			outcome.write(w)
			return nil
		}
		// The first request failed, or its entry was just removed.
	}
}

// execute handles a request that is not in memory. The storage may have a record of it from earlier. The record is written before
// the key is created, too: otherwise a retry after a crash in between would create a second key.
func (a *api) execute(
	ctx context.Context, w http.ResponseWriter, r *http.Request, entry *idempotencyEntry,
	do func(context.Context) (*storedResponse, error),
) (err error) {
	var outcome *storedResponse
	defer func() { a.IdempotencyCache.end(entry, outcome) }()

	kept, err := a.claim(ctx, entry)
	if err != nil {
		return err
	}
	if kept != "" {
		return expiredResult(kept, entry.fingerprint)
	}
	made, err := do(ctx)
	if err != nil {
		return errors.Join(err, a.Service.Registry.PutIdempotencyRecord(ctx, entry.name, ""))
	}
	outcome = made
	// The key exists and the client needs its token, so an error here only degrades retries.
	if err := a.Service.Registry.PutIdempotencyRecord(ctx, entry.name, entry.fingerprint+" "+made.key); err != nil {
		a.log(r, err)
	}
	made.write(w)
	return nil
}

// How long, and how often, the outcome of a request at another gate is awaited.
const (
	otherGateWait     = 5 * time.Second
	otherGateInterval = 100 * time.Millisecond
)

// claim stores the record of a request, or returns the one that is stored. If another gate may be executing the request, it waits.
func (a *api) claim(ctx context.Context, entry *idempotencyEntry) (kept string, err error) {
	for end := time.Now().Add(otherGateWait); ; time.Sleep(otherGateInterval) {
		kept, err = a.Service.Registry.ClaimIdempotencyRecord(ctx, entry.name, entry.fingerprint)
		if err != nil || kept != entry.fingerprint || !a.Service.Registry.IsShared() || time.Now().After(end) {
			return kept, err
		}
	}
}

// expiredResult is the error for a retry of a request whose token is no longer available.
func expiredResult(kept, fingerprint string) error {
	before, key, _ := strings.Cut(kept, " ")
	if before != fingerprint {
		return errReused
	}
	if key == "" {
		return newProblem(http.StatusConflict, "idempotency_key_in_doubt",
			"This request was received before, and its outcome is unknown. "+
				"Check whether the key exists. If it does, rotate it to get a token, or a secret; otherwise retry with a new Idempotency-Key.")
	}
	p := newProblem(http.StatusConflict, "idempotency_key_completed", "This request was already completed, for the key "+key+
		". Its token, or secret, was returned then and cannot be returned again. If it was lost, rotate it with a new Idempotency-Key.")
	p.Key = key
	return p
}

// idempotencyKey returns the name under which a request is stored, or "" without an Idempotency-Key. It depends on actor, method
// and path, so that one actor cannot get the token of another.
func (a *api) idempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values(idempotencyHeader)
	if len(values) == 0 {
		return "", nil
	}
	value := values[0]
	if len(values) > 1 || value == "" || len(value) > maxIdempotencyKey ||
		strings.ContainsFunc(value, func(c rune) bool { return c < 0x21 || c > 0x7e }) {
		return "", invalidParameter(idempotencyHeader, "must be specified once, with 1 to 255 printable ASCII characters")
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{a.Actor(r).Name, r.Method, r.URL.Path, value}, "\x00")))
	return "repeat:" + hex.EncodeToString(sum[:]), nil
}
