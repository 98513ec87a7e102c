package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/registry"
)

// The key endpoints of DocsGPT 0.8.1 to 0.13 (application/api/user/routes.py), for scripts and web apps of that time. The responses
// are those of 0.11 and later, with the additional fields that older web apps need. As in DocsGPT, unknown fields are ignored.

// writeLegacy writes an error in the format of DocsGPT: the text is in "message" or "error".
func writeLegacy(w http.ResponseWriter, p *problem) {
	response := struct {
		Success bool   `json:"success"`
		Message string `json:"message,omitempty"`
		Error   string `json:"error,omitempty"`
	}{}
	status := p.Status
	switch p.Code {
	case "legacy":
		response.Message = p.Detail
	case "invalid", "invalid_json", "invalid_parameter", "already_exists":
		status = http.StatusBadRequest
		response.Error = p.Detail
	default:
		response.Error = p.Detail
	}
	writeJSON(w, status, response)
}

func legacyProblem(status int, message string) *problem { return newProblem(status, "legacy", message) }

// scalar is a string, or a number in its original spelling.
type scalar string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *scalar) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	switch token.Kind() {
	case '"', '0':
		*s = scalar(token.String())
		return nil
	default:
		return &valueError{"must be text or a number"}
	}
}

// nullableString is a string that may be null, which means the same as "".
type nullableString string

func (*nullableString) nullable() {}

// legacyBody decodes a body with required fields.
func legacyBody(w http.ResponseWriter, r *http.Request, into any, required ...string) error {
	body, err := readBody(w, r, maxBody, false)
	if err != nil {
		return err
	}
	var given map[string]jsontext.Value
	if err := decode(body, &given, json.WithUnmarshalers(nil)); err != nil {
		return err
	}
	var missing []string
	for _, name := range required {
		if _, ok := given[name]; !ok {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return legacyProblem(http.StatusBadRequest, "Missing fields: "+strings.Join(missing, ", "))
	}
	return decode(body, into, json.RejectUnknownMembers(false))
}

func (a *api) legacyCreate(w http.ResponseWriter, r *http.Request) error {
	var d struct {
		Name      string         `json:"name"`
		Source    nullableString `json:"source"`
		Prompt    scalar         `json:"prompt_id"`
		Chunks    scalar         `json:"chunks"`
		Retriever nullableString `json:"retriever"`
	}
	if err := legacyBody(w, r, &d, "name", "prompt_id", "chunks"); err != nil {
		return err
	}
	// Without a source, DocsGPT used the index that it ships with. The registry's rules decide whether the version in use has it.
	source := string(d.Source)
	if source == "" {
		source = "default"
	}
	made, err := a.Service.Create(context.WithoutCancel(r.Context()), a.Actor(r), registry.CreateRequest{
		Name: d.Name, Sources: []string{source},
		Prompt: string(d.Prompt), Chunks: string(d.Chunks), Retriever: string(d.Retriever),
	})
	if made != nil && errors.Is(err, registry.ErrNotApplied) {
		a.log(r, err) // the token must not be lost
	} else if err != nil {
		return renameField(err, map[string]bool{"/sources": true})
	}
	writeJSON(w, http.StatusCreated, struct {
		ID  string `json:"id"`
		Key string `json:"key"`
	}{made.Record.ID, made.Token.Reveal()})
	return nil
}

// legacyList responds with all issued keys except revoked ones: deleting a key revokes it.
func (a *api) legacyList(w http.ResponseWriter, r *http.Request) error {
	type one struct {
		ID        string `json:"id"`
		Name      string `json:"name"`
		Key       string `json:"key"`
		Source    string `json:"source"`
		Prompt    string `json:"prompt_id"`
		Chunks    string `json:"chunks"`
		Retriever string `json:"retriever"`
	}
	out := a.stream(w, r, "application/json", "")
	out.header.Del("Content-Disposition")
	separator := "["
	for q := (keyindex.Query{Feed: a.Service.Feed, Now: a.Now(), Limit: maxLimit}); ; {
		page, err := a.Service.List(q)
		if err == nil {
			err = r.Context().Err()
		}
		if err != nil {
			return out.abort(err)
		}
		for i := range page.Keys {
			k := &page.Keys[i]
			if k.State == keys.Revoked.String() {
				continue
			}
			_, err := out.Write(append([]byte(separator), encode(one{
				k.ID, k.Name, maskedOf(k), strings.Join(k.Sources, ", "), k.Prompt, k.Chunks, k.Retriever,
			})...))
			if err != nil {
				return out.abort(err)
			}
			separator = ","
		}
		if page.Next == "" {
			break
		}
		q.After = page.Next
	}
	if separator == "[" {
		_, _ = out.Write([]byte("["))
	}
	_, _ = out.Write([]byte("]\n")) // the client may be gone
	return nil
}

// maskedOf never returns "": web apps of that time slice the string.
func maskedOf(k *keyservice.Key) string {
	if k.Masked == "" {
		return "..."
	}
	return k.Masked
}

// legacyDelete revokes a key, which is permanent and keeps its audit trail.
func (a *api) legacyDelete(w http.ResponseWriter, r *http.Request) error {
	var d struct {
		ID string `json:"id"`
	}
	if err := legacyBody(w, r, &d, "id"); err != nil {
		return err
	}
	ctx := context.WithoutCancel(r.Context())
	key, err := a.Service.Registry.Get(ctx, d.ID)
	if err == nil && key.State != keys.Revoked {
		_, err = a.Service.Registry.Revoke(ctx, a.Actor(r), d.ID)
	} else if err == nil {
		err = registry.ErrNotFound
	}
	if errors.Is(err, registry.ErrNotFound) {
		return legacyProblem(http.StatusNotFound, "API Key not found")
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Success bool   `json:"success"`
		Status  string `json:"status"` // the web apps of 0.8.1 to 0.10 check it
	}{true, "ok"})
	return nil
}
