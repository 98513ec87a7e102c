package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/internal/duration"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/registry"
)

// Keys per page.
const (
	defaultLimit = 50
	maxLimit     = 1000
)

// maxText is the maximum length of a search text in characters; no name is longer.
const maxText = 200

func (a *api) listKeys(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "q", "state", "source", "feed", "sort", "limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := number(values, "limit", defaultLimit, maxLimit)
	if err != nil {
		return err
	}
	if utf8.RuneCountInString(values.Get("q")) > maxText {
		return invalidParameter("q", fmt.Sprintf("has at most %d characters", maxText))
	}
	q := keyindex.Query{
		Text: values.Get("q"), Source: values.Get("source"), Feed: values.Get("feed"),
		Limit: int(limit), After: values.Get("cursor"), Now: a.Now(),
	}
	if values.Has("state") {
		reason, ok := states[values.Get("state")]
		if !ok {
			return invalidParameter("state", "must be active, disabled, not_yet_valid, expired, revoked or unusable")
		}
		q.State = reason
	}
	var ok bool
	if q.Sort, q.Reverse, ok = keyindex.ParseSort(values.Get("sort")); !ok {
		return invalidParameter("sort", "must be one of "+strings.Join(keyindex.SortNames(), ", "))
	}
	page, err := a.Service.List(q)
	if err != nil {
		return invalidParameter("cursor", "is invalid: use next_cursor of the previous page, with the same filters and order")
	}
	response := struct {
		Keys  []Key  `json:"keys"`
		Next  string `json:"next_cursor,omitempty"`
		Total int    `json:"total"`
	}{Keys: make([]Key, len(page.Keys)), Next: page.Next, Total: page.Total}
	for i := range page.Keys {
		response.Keys[i] = responseKey(&page.Keys[i])
	}
	writeJSON(w, http.StatusOK, response)
	return nil
}

func (a *api) showKey(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	key, err := a.Service.Show(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, responseKey(&key))
	return nil
}

// binding has the fields of a body that define the binding of a key. Exactly one is allowed.
type binding struct {
	Sources  []string  `json:"sources"`
	Source   oneOrMore `json:"source"`
	Agent    *string   `json:"agent"`
	AgentKey *string   `json:"agent_key"`
}

// read returns the sources, and the errors about the presence of fields. The registry validates their values.
func (b *binding) read() (sources []string, faults []fieldError) {
	first := ""
	member := func(name string, given, empty bool) {
		switch {
		case !given:
		case empty:
			faults = append(faults, fieldError{name, "/" + name, "is empty"})
		case first != "":
			faults = append(faults, fieldError{
				name, "/" + name,
				"cannot be combined with " + first + ": a key is bound to either sources, agent or agent_key",
			})
		default:
			first = name
		}
	}
	member("sources", b.Sources != nil, len(b.Sources) == 0)
	member("source", b.Source != nil, len(b.Source) == 0)
	member("agent", b.Agent != nil, b.Agent != nil && *b.Agent == "")
	member("agent_key", b.AgentKey != nil, b.AgentKey != nil && *b.AgentKey == "")
	if b.Source != nil {
		return b.Source, faults
	}
	return b.Sources, faults
}

// renameField turns an error about "sources" into one about "source" if the body has that field. single has the JSON pointers
// (of "sources") for which it does.
func renameField(err error, single map[string]bool) error {
	var faults []fieldError
	if err != nil && !errors.Is(err, keyservice.ErrAgentNotListed) { // not about sources
		collectFieldErrors(err, "", &faults)
	}
	for i := range faults {
		if f := &faults[i]; single[f.Pointer] {
			f.Field, f.Pointer = strings.TrimSuffix(f.Field, "s"), strings.TrimSuffix(f.Pointer, "s")
		}
	}
	if faults == nil {
		return err
	}
	return invalid(faults)
}

// createKeyRequest is the body of a request that creates a key.
type createKeyRequest struct {
	binding
	Name      string    `json:"name"`
	NotBefore timeLimit `json:"not_before"`
	Expires   timeLimit `json:"expires"`
	Prompt    string    `json:"prompt_id"`
	Chunks    string    `json:"chunks"`
	Retriever string    `json:"retriever"`
	policyFields
	signingFields
}

func (a *api) createKey(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	body, err := readBody(w, r, maxBody, false)
	if err != nil {
		return err
	}
	var d createKeyRequest
	if err := decode(body, &d); err != nil {
		return err
	}
	sources, faults := d.read()
	restrictions, policyFaults := d.policy()
	signing, signingFaults := d.signing()
	if faults = slices.Concat(faults, policyFaults, signingFaults); faults != nil {
		return invalid(faults)
	}
	return a.idempotent(w, r, body, func(ctx context.Context) (*storedResponse, error) {
		now := a.Now()
		made, err := a.Service.Create(ctx, a.Actor(r), registry.CreateRequest{
			Name: d.Name, Sources: sources, Agent: value(d.Agent), AgentKey: value(d.AgentKey),
			NotBefore: d.NotBefore.at(now), Expires: d.Expires.at(now),
			Prompt: d.Prompt, Chunks: d.Chunks, Retriever: d.Retriever, Policy: restrictions, Signing: signing,
		})
		// Relative to the request, since the mount point of the API is unknown here.
		return a.withToken(r, http.StatusCreated, "keys/", made, renameField(err, map[string]bool{"/sources": d.Source != nil}))
	})
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// withToken is the only response that contains a new token. If the key is stored but not applied yet, the token must not be lost
// either: then the response has an unusable_reason.
func (a *api) withToken(
	r *http.Request, status int, folder string, made *registry.CreateResult, err error,
) (*storedResponse, error) {
	if err != nil && (made == nil || !errors.Is(err, registry.ErrNotApplied)) {
		return nil, err
	}
	shown := a.Service.FromRecord(&made.Record)
	key := responseKey(&shown)
	key.Token, key.SignSecret = made.Token.Reveal(), made.SignSecret.Reveal()
	if err != nil {
		key.UnusableReason = keyservice.ApplyPending
		a.log(r, err)
	}
	done := &storedResponse{status: status, key: made.Record.ID, body: encode(key)}
	if folder != "" {
		done.location = folder + url.PathEscape(made.Record.ID)
	}
	return done, nil
}

// updateKeyRequest is the body of a request that updates a key.
type updateKeyRequest struct {
	binding
	policyFields
	signingFields
	Name      *string      `json:"name"`
	NotBefore optionalTime `json:"not_before"`
	Expires   optionalTime `json:"expires"`
	State     *string      `json:"state"`
}

func (a *api) updateKey(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	body, err := readBody(w, r, maxBody, false)
	if err != nil {
		return err
	}
	var e updateKeyRequest
	if err := decode(body, &e); err != nil {
		return err
	}
	sources, faults := e.read()
	now := a.Now()
	wanted := registry.UpdateRequest{
		Name: e.Name, NotBefore: e.NotBefore.at(now), Expires: e.Expires.at(now),
		Sources: sources, Agent: value(e.Agent), AgentKey: value(e.AgentKey),
	}
	var policyFaults, signingFaults []fieldError
	wanted.Policy, policyFaults = e.change()
	wanted.Signing, signingFaults = e.signing()
	faults = slices.Concat(faults, policyFaults, signingFaults)
	if e.State != nil {
		state, err := keys.ParseState(*e.State)
		if err != nil {
			faults = append(faults, fieldError{"state", "/state", `must be "active" or "disabled"; to revoke the key, use /revoke`})
		}
		wanted.State = &state
	}
	if faults != nil {
		return invalid(faults)
	}
	return a.respondUpdated(w, r, func(ctx context.Context, id string) (keyservice.Key, error) {
		key, err := a.Service.UpdateKey(ctx, a.Actor(r), id, wanted)
		return key, renameField(err, map[string]bool{"/sources": e.Source != nil})
	})
}

func (a *api) disableKey(w http.ResponseWriter, r *http.Request) error {
	return a.setState(w, r, keys.Disabled)
}

func (a *api) enableKey(w http.ResponseWriter, r *http.Request) error {
	return a.setState(w, r, keys.Active)
}

func (a *api) setState(w http.ResponseWriter, r *http.Request, state keys.State) error {
	if err := requireEmptyBody(w, r); err != nil {
		return err
	}
	return a.respondUpdated(w, r, func(ctx context.Context, id string) (keyservice.Key, error) {
		return a.Service.UpdateKey(ctx, a.Actor(r), id, registry.UpdateRequest{State: &state})
	})
}

func (a *api) revokeKey(w http.ResponseWriter, r *http.Request) error {
	if err := requireEmptyBody(w, r); err != nil {
		return err
	}
	return a.respondUpdated(w, r, func(ctx context.Context, id string) (keyservice.Key, error) {
		record, err := a.Service.Registry.Revoke(ctx, a.Actor(r), id)
		if err != nil {
			return keyservice.Key{}, a.Service.ReadOnly(id, err)
		}
		return a.Service.FromRecord(record), nil
	})
}

func (a *api) deleteKey(w http.ResponseWriter, r *http.Request) error {
	if err := requireEmptyBody(w, r); err != nil {
		return err
	}
	// A client that disconnects must not interrupt the change.
	if err := a.Service.DeleteKey(context.WithoutCancel(r.Context()), a.Actor(r), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) endGrace(w http.ResponseWriter, r *http.Request) error {
	if err := requireEmptyBody(w, r); err != nil {
		return err
	}
	return a.respondUpdated(w, r, func(ctx context.Context, id string) (keyservice.Key, error) {
		record, err := a.Service.Registry.EndGrace(ctx, a.Actor(r), id)
		if err != nil {
			return keyservice.Key{}, a.Service.ReadOnly(id, err)
		}
		return a.Service.FromRecord(record), nil
	})
}

// requireEmptyBody is for endpoints without arguments. It allows an empty object; any field would be silently ignored otherwise.
func requireEmptyBody(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	body, err := readBody(w, r, maxBody, true)
	if err != nil || body == nil {
		return err
	}
	return decode(body, &struct{}{})
}

// respondUpdated updates the key of the path and responds with it.
func (a *api) respondUpdated(
	w http.ResponseWriter, r *http.Request, do func(ctx context.Context, id string) (keyservice.Key, error),
) error {
	// A client that disconnects must not interrupt the change.
	key, err := do(context.WithoutCancel(r.Context()), r.PathValue("id"))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, responseKey(&key))
	return nil
}

// rotateKeyRequest is the body of a request that rotates a key.
type rotateKeyRequest struct {
	Grace *string `json:"grace"`
}

func (a *api) rotateKey(w http.ResponseWriter, r *http.Request) error {
	body, grace, err := readGrace(w, r)
	if err != nil {
		return err
	}
	return a.idempotent(w, r, body, func(ctx context.Context) (*storedResponse, error) {
		id := r.PathValue("id")
		made, err := a.Service.Registry.Rotate(ctx, a.Actor(r), id, grace)
		return a.withToken(r, http.StatusOK, "", made, a.Service.ReadOnly(id, err))
	})
}

// readGrace reads a request that rotates a key or its sign secret: the body, which is nil if there is none, and the grace period in it.
func readGrace(w http.ResponseWriter, r *http.Request) (body []byte, grace time.Duration, err error) {
	if _, err := query(r); err != nil {
		return nil, 0, err
	}
	if body, err = readBody(w, r, maxBody, true); err != nil {
		return nil, 0, err
	}
	var wanted rotateKeyRequest
	if body != nil {
		if err := decode(body, &wanted); err != nil {
			return nil, 0, err
		}
	}
	grace, err = parseGrace(wanted.Grace)
	return body, grace, err
}

// parseGrace parses a grace period; nil: none.
func parseGrace(text *string) (time.Duration, error) {
	if text == nil {
		return 0, nil
	}
	grace, err := duration.Parse(*text)
	if err != nil || grace > registry.MaxGrace {
		return 0, invalid([]fieldError{{"grace", "/grace", "must be a duration such as 24h, 1h30m, 7d or 2w, at most 30d"}})
	}
	return grace, nil
}
