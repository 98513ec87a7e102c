package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

// maxImportKeys is the maximum number of keys per import.
const maxImportKeys = 1000

// importedKey is a key in the body of an import.
type importedKey struct {
	binding
	ID        *string   `json:"id"`
	Name      *string   `json:"name"`
	SHA256    *string   `json:"sha256"`
	State     *string   `json:"state"`
	NotBefore timeLimit `json:"not_before"`
	Expires   timeLimit `json:"expires"`
	Created   moment    `json:"created"`
	Prompt    string    `json:"prompt_id"`
	Chunks    string    `json:"chunks"`
	Retriever string    `json:"retriever"`
	policyFields
	signingFields
}

func (k *importedKey) item(i int, now time.Time, faults *[]fieldError) registry.Import {
	wrong := func(field, message string) {
		*faults = append(*faults, fieldError{
			Field: fmt.Sprintf("keys[%d].%s", i, field), Pointer: fmt.Sprintf("/keys/%d/%s", i, field), Message: message,
		})
	}
	sources, bad := k.read()
	restrictions, policyFaults := k.policy()
	signing, signingFaults := k.signing()
	for _, f := range slices.Concat(bad, policyFaults, signingFaults) {
		*faults = append(*faults, fieldError{fmt.Sprintf("keys[%d].%s", i, f.Field), fmt.Sprintf("/keys/%d%s", i, f.Pointer), f.Message})
	}
	item := registry.Import{
		ID: value(k.ID), Name: value(k.Name), Sources: sources, Agent: value(k.Agent), AgentKey: value(k.AgentKey),
		NotBefore: k.NotBefore.at(now), Expires: k.Expires.at(now), Created: k.Created.Time,
		Prompt: k.Prompt, Chunks: k.Chunks, Retriever: k.Retriever, Policy: restrictions, Signing: signing,
	}
	if k.ID != nil && *k.ID == "" {
		wrong("id", "is empty: omit it to have one generated")
	}
	if k.Name != nil && strings.TrimSpace(*k.Name) == "" {
		wrong("name", "is empty: omit it to use the id")
	}
	if k.SHA256 != nil {
		var err error
		if item.Digest, err = keys.ParseDigest(*k.SHA256); err != nil || item.Digest.IsZero() {
			wrong("sha256", "must be 64 hexadecimal digits, the SHA-256 of the token")
		}
	}
	if k.State != nil {
		switch *k.State {
		case "active":
		case "disabled":
			item.State = keys.Disabled
		case "revoked":
			item.State = keys.Revoked
		default:
			wrong("state", `must be "active", "disabled" or "revoked"`)
		}
	}
	return item
}

func (a *api) importKeys(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	body, err := readBody(w, r, maxImport, false)
	if err != nil {
		return err
	}
	var wanted struct {
		Keys []importedKey `json:"keys"`
		Dry  bool          `json:"dry_run"`
	}
	if err := decode(body, &wanted); err != nil {
		return err
	}
	if n := len(wanted.Keys); n < 1 || n > maxImportKeys {
		return invalid([]fieldError{{"keys", "/keys", fmt.Sprintf("must hold 1 to %d keys", maxImportKeys)}})
	}
	var faults []fieldError
	items := make([]registry.Import, len(wanted.Keys))
	single := map[string]bool{}
	for i := range wanted.Keys {
		items[i] = wanted.Keys[i].item(i, a.Now(), &faults)
		if wanted.Keys[i].Source != nil {
			single[fmt.Sprintf("/keys/%d/sources", i)] = true
		}
	}
	if len(faults) > 0 {
		return invalid(faults)
	}
	imported, err := a.Service.Import(context.WithoutCancel(r.Context()), a.Actor(r), items, wanted.Dry)
	problem := ""
	if errors.Is(err, registry.ErrNotApplied) && imported != nil {
		problem = keyservice.ApplyPending // not an error response, since the tokens must not be lost
		a.log(r, err)
	} else if err != nil {
		return renameField(err, single)
	}
	response := struct {
		Imported []ImportedKey `json:"imported"`
		Dry      bool          `json:"dry_run,omitempty"`
		Problem  string        `json:"unusable_reason,omitempty"`
	}{make([]ImportedKey, len(imported)), wanted.Dry, problem}
	for i := range imported {
		in := &imported[i]
		response.Imported[i] = ImportedKey{in.Record.ID, in.Record.Name, in.Token.Reveal(), in.Existing}
	}
	writeJSON(w, http.StatusOK, response)
	return nil
}

// exportedKey is a key in the format of the key file of `feed file`.
type exportedKey struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	SHA256    string     `json:"sha256"`
	Source    []string   `json:"source,omitempty"`
	Agent     string     `json:"agent,omitempty"`
	State     string     `json:"state"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"`
	Policy
	SignPublicKeys []string `json:"sign_public_key,omitempty"`
	Generation     uint32   `json:"generation,omitzero"`
}

// isExportable reports whether a key file can contain a key. It cannot if the agent is a stored DocsGPT key or a key of another feed, or
// if a stored secret verifies tokens of visitors.
func isExportable(k *registry.Record) bool {
	if len(k.Sources) == 0 && k.Agent.Placeholder == "" {
		return false
	}
	return k.Policy == nil || k.Policy.Visitors == policy.VisitorsOff || k.Signing != nil && len(k.Signing.Secrets) == 0 && len(k.Signing.PublicKeys) > 0
}

// exportKeys responds with a key file. It lists the IDs of keys that the file cannot contain. Revoked keys are omitted, since tokens that are not in the file are rejected as well.
func (a *api) exportKeys(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	out := a.stream(w, r, "application/json", "keys.json")
	left := []string{}
	separator := "{\"keys\":[\n"
	err := a.Service.Registry.Export(r.Context(), a.Actor(r), func(k *registry.Record) error {
		if k.State == keys.Revoked {
			return nil
		}
		if !isExportable(k) {
			left = append(left, k.ID)
			return nil
		}
		exported := exportedKey{
			ID: k.ID, Name: k.Name, SHA256: k.Digest.Hex(), Source: k.Sources, Agent: k.Agent.Placeholder,
			State: k.State.String(), NotBefore: timeOrNil(k.NotBefore), Expires: timeOrNil(k.Expires), Policy: responsePolicy(k.Policy),
		}
		if exported.Visitors != policy.VisitorsOff {
			exported.SignPublicKeys, exported.Generation = formatPublicKeys(k.Signing.PublicKeys), k.Signing.Generation
		}
		_, err := out.Write(append([]byte(separator), encode(exported)...))
		separator = ","
		return err
	})
	if err != nil {
		return out.abort(err)
	}
	if separator != "," {
		_, _ = out.Write([]byte(separator))
	}
	end := []byte("]")
	if len(left) > 0 {
		end = append([]byte("],\"skipped\":"), encode(left)...)
	}
	_, _ = out.Write(append(end, "}\n"...)) // the client may be gone
	return nil
}

func (a *api) backup(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	out := a.stream(w, r, "application/octet-stream", a.Format)
	if err := a.Service.Registry.Backup(r.Context(), a.Actor(r), out); err != nil {
		return out.abort(err)
	}
	_, _ = out.Write(nil) // sends the header of an empty backup
	return nil
}

// stream is a response body that is written in parts. The header is sent with the first one.
type stream struct {
	w       http.ResponseWriter
	header  http.Header
	started bool
	log     func(error)
}

// stream returns the body of a response that browsers save as a file.
func (a *api) stream(w http.ResponseWriter, r *http.Request, contentType, file string) *stream {
	return &stream{
		w: w,
		header: http.Header{
			"Content-Type":        {contentType},
			"Content-Disposition": {mime.FormatMediaType("attachment", map[string]string{"filename": file})},
		},
		log: func(err error) {
			if r.Context().Err() == nil {
				a.log(r, err)
			}
		},
	}
}

// Write implements io.Writer.
func (s *stream) Write(b []byte) (int, error) {
	if !s.started {
		s.started = true
		for name, values := range s.header {
			s.w.Header()[name] = values
		}
		s.w.WriteHeader(http.StatusOK)
	}
	n, err := s.w.Write(b)
	if err != nil {
		return n, errors.Join(errClientClosed, err)
	}
	return n, nil
}

var errClientClosed = errors.New("the client hung up")

var _ io.Writer = (*stream)(nil)

// abort ends a failed response: before the first part by returning the error, after it by aborting the connection, so that the
// client does not take the body for complete.
func (s *stream) abort(err error) error {
	if !s.started {
		return err
	}
	if !errors.Is(err, errClientClosed) {
		s.log(err)
	}
	panic(http.ErrAbortHandler)
}
