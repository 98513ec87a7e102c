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

// Repeated requests: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/. A client that got no answer
// sends its request again with the same Idempotency-Key. Within a few minutes it gets the very answer, with the token, that
// it missed. That answer is in memory only, so after that, or after a restart, it is told which key was made: the storage
// keeps that, but no token.
const (
	idempotencyHeader = "Idempotency-Key"
	replayedHeader    = "Idempotency-Replayed"

	maxIdempotencyKey = 255
	maxStored         = 1000             // answers in memory
	storedFor         = 10 * time.Minute // how long one is
)

// storedResponse is what a call that makes a token ends with.
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
	_, _ = w.Write(n.body) // a client that is gone can ask again
}

// IdempotencyCache are the requests that may be repeated, with their answers, which hold tokens, for 10 minutes. The zero Repeats has
// none. APIs for one registry may share them. Safe for concurrent use.
type IdempotencyCache struct {
	mu    sync.Mutex
	byID  map[string]*idempotencyEntry // by their names
	order []*idempotencyEntry          // the oldest first
}

// idempotencyEntry is one such request.
type idempotencyEntry struct {
	name        string
	fingerprint string        // of the body
	done        chan struct{} // closed when there is an outcome

	answer *storedResponse // nil: it failed and left nothing behind. Guarded by Repeats.mu once done is closed.
	timer  *time.Timer
}

// begin returns the request of a name, and whether it is the caller's to do.
func (s *IdempotencyCache) begin(name, fingerprint string) (entry *idempotencyEntry, mine bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if entry, ok := s.byID[name]; ok {
		return entry, false, nil
	}
	if len(s.byID) >= maxStored {
		oldest := slices.IndexFunc(s.order, func(e *idempotencyEntry) bool { return e.answer != nil })
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

// end notes the outcome; nil forgets the request, so that it can be tried again.
func (s *IdempotencyCache) end(entry *idempotencyEntry, outcome *storedResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if outcome == nil {
		s.forget(entry)
	} else {
		entry.answer = &storedResponse{outcome.status, outcome.location, outcome.key, bytes.Clone(outcome.body)}
		entry.timer = time.AfterFunc(storedFor, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.forget(entry)
		})
	}
	close(entry.done)
}

// of returns a copy of the answer, or nil if it failed or is forgotten.
func (s *IdempotencyCache) of(entry *idempotencyEntry) *storedResponse {
	s.mu.Lock()
	defer s.mu.Unlock()
	if entry.answer == nil {
		return nil
	}
	a := *entry.answer
	a.body = bytes.Clone(a.body)
	return &a
}

// forget wipes what is kept of a request. The caller holds mu.
func (s *IdempotencyCache) forget(entry *idempotencyEntry) {
	if s.byID[entry.name] != entry {
		return
	}
	delete(s.byID, entry.name)
	s.order = slices.DeleteFunc(s.order, func(e *idempotencyEntry) bool { return e == entry })
	if entry.timer != nil {
		entry.timer.Stop()
	}
	if entry.answer != nil {
		clear(entry.answer.body)
		entry.answer = nil
	}
}

var errReused = newProblem(http.StatusUnprocessableEntity, "idempotency_key_reused",
	"This Idempotency-Key was already used with another body. Use a new one for each request; repeat it only to retry the same request.")

// idempotent does what makes a token, and answers. If the request has an Idempotency-Key it is done once, however often it comes.
func (a *api) idempotent(
	w http.ResponseWriter, r *http.Request, body []byte, do func(context.Context) (*storedResponse, error),
) error {
	// What is begun is brought to its end: a client that has hung up may repeat its request.
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
		// The first one failed, or was just forgotten.
	}
}

// execute does a request that is not known in memory. It may be known to the storage, from longer ago. What it keeps is noted
// before the key is made, too: after a crash in between nobody knows, and a second key would be made behind the client's
// back.
func (a *api) execute(
	ctx context.Context, w http.ResponseWriter, r *http.Request, entry *idempotencyEntry, do func(context.Context) (*storedResponse, error),
) (err error) {
	var outcome *storedResponse
	defer func() { a.IdempotencyCache.end(entry, outcome) }()

	kept, err := a.Service.Registry.GetIdempotencyRecord(ctx, entry.name)
	if err != nil {
		return err
	}
	if kept != "" {
		return expiredResult(kept, entry.fingerprint)
	}
	if err := a.Service.Registry.PutIdempotencyRecord(ctx, entry.name, entry.fingerprint); err != nil {
		return err
	}
	made, err := do(ctx)
	if err != nil {
		return errors.Join(err, a.Service.Registry.PutIdempotencyRecord(ctx, entry.name, ""))
	}
	outcome = made
	// The key is made and the client needs its token, so it gets it even if a repetition will hear less.
	if err := a.Service.Registry.PutIdempotencyRecord(ctx, entry.name, entry.fingerprint+" "+made.key); err != nil {
		a.log(r, err)
	}
	made.write(w)
	return nil
}

// expiredResult is the answer to a repetition of a request whose token is gone.
func expiredResult(kept, fingerprint string) error {
	before, key, _ := strings.Cut(kept, " ")
	if before != fingerprint {
		return errReused
	}
	if key == "" {
		return newProblem(http.StatusConflict, "idempotency_key_in_doubt", "This request was received before, and its outcome is unknown. "+
			"Check whether the key exists. If it does, rotate it to get a token; otherwise retry with a new Idempotency-Key.")
	}
	p := newProblem(http.StatusConflict, "idempotency_key_completed", "This request was already completed, for the key "+key+
		". Its token was returned then and cannot be returned again. If it was lost, rotate the key with a new Idempotency-Key.")
	p.Key = key
	return p
}

// idempotencyKey is under what a request is kept, or "" if it has no Idempotency-Key. It depends on who asks and for what, so
// that nobody gets another's token.
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
