package importer

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/docsgate/docsgate/internal/displaytext"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/filefeed"
	"github.com/docsgate/docsgate/keys/registry"
)

const maxTextRunes = 200 // of a name, as in the registry

func readKeyFile(data []byte, o Options) (*Result, error) {
	if o.Agents {
		return nil, &ParseError{"", "the bindings of keys are specified in the key file itself"}
	}
	entries, err := filefeed.Entries(data, filefeed.Options{Resolve: o.Resolve})
	if err != nil {
		return nil, err
	}
	result := &Result{Format: KeyFile}
	for _, e := range entries {
		item := Item{Location: fmt.Sprintf("line %d", e.Line), Key: registry.Import{
			ID: e.Key.ID, Sources: e.Key.Binding.Sources, Agent: e.Agent, Digest: e.Key.Digest, State: e.Key.State,
			NotBefore: e.Key.NotBefore, Expires: e.Key.Expires, Policy: e.Key.Policy,
		}}
		item.setName(e.Key.Name)
		if s := e.Key.VisitorTokens; s != nil {
			item.Key.Signing = registry.SigningChange{PublicKeys: &s.PublicKeys, Generation: &s.Generation}
		}
		if e.SignSecret {
			item.Notes = append(item.Notes, "its secret for signing is not imported: create one with \"docsgate keys rotate-sign-secret\"")
		}
		result.Items = append(result.Items, item)
	}
	return result, nil
}

// converter converts rows to items.
type converter struct {
	options Options
	result  Result
	faults  []error
}

func (r *converter) fault(at *row, format string, args ...any) {
	r.faults = append(r.faults, &ParseError{at.place, fmt.Sprintf(format, args...)})
}

func (r *converter) skip(at *row, name, format string, args ...any) {
	r.result.Skipped = append(r.result.Skipped, Skipped{at.place, name, fmt.Sprintf(format, args...)})
}

// item returns an item with the fields that all formats have in common.
func (r *converter) item(at *row, id string, created time.Time) Item {
	it := Item{Location: at.place, Key: registry.Import{Created: created}}
	if keys.IsValidID(id) && !keys.HasValidChecksum(id) {
		it.Key.ID = id
	}
	name, _ := text(at.values["name"])
	it.setName(name)
	it.Key.Prompt, it.Key.Chunks = truncate(at.values["prompt_id"]), truncate(at.values["chunks"])
	it.Key.Retriever = truncate(at.values["retriever"])
	return it
}

// setName sets the name, after reducing DocsGPT's unrestricted names to a single line.
func (it *Item) setName(name string) {
	it.Key.Name = displaytext.Line(name, maxTextRunes)
	if it.Key.Name != strings.TrimSpace(name) {
		it.Notes = append(it.Notes, fmt.Sprintf("the name was shortened to one line of at most %d characters", maxTextRunes))
	}
}

func truncate(v any) string {
	s, _ := text(v)
	return displaytext.Line(s, maxTextRunes)
}

// apiKey converts one item of /api/get_api_keys.
func (r *converter) apiKey(at *row) {
	id, _ := text(at.values["id"])
	it := r.item(at, id, objectIDTime(id))
	if r.options.Agents {
		r.fault(at, "this list contains only the ends of keys, so keys cannot be bound to themselves")
		return
	}
	source, err := sourceOf(at.values["source"])
	switch {
	case err != nil:
		r.fault(at, "source: %v", err)
		return
	case source == "":
		r.skip(at, it.Key.Name, "it has no source")
		return
	}
	if len(r.options.Sources) > 0 {
		ids := r.sourcesNamed(source)
		if len(ids) != 1 {
			r.skip(at, it.Key.Name, "%d sources of DocsGPT have the name %q: create a key for the right one manually", len(ids), displaytext.Line(source, maxTextRunes))
			return
		}
		source = ids[0]
	}
	it.Key.Sources = []string{source}
	r.result.Items = append(r.result.Items, it)
}

// sourcesNamed returns the IDs of the sources that a text may refer to.
func (r *converter) sourcesNamed(text string) (ids []string) {
	for _, s := range r.options.Sources {
		if s.ID == text {
			return []string{s.ID}
		}
		if s.Name == text {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// mongo converts a document of api_keys or agents.
func (r *converter) mongo(at *row) {
	id, ok := text(at.values["_id"])
	if !ok {
		r.fault(at, "_id is not an ObjectId")
		return
	}
	created := parseTime(at.values["createdAt"])
	if created.IsZero() {
		created = objectIDTime(id)
	}
	// A non-empty list takes precedence over the single source, as in DocsGPT.
	sources, err := sourcesOf(at.values["sources"])
	if err == nil && len(sources) == 0 {
		sources, err = sourcesOf([]any{at.values["source"]})
	}
	if err != nil {
		r.fault(at, "%v", err)
		return
	}
	r.take(at, r.item(at, id, created), sources)
}

// postgres converts a row of agents.
func (r *converter) postgres(at *row) {
	if _, exists := at.values["key"]; !exists {
		r.fault(at, "the column key is missing: select it, too")
		return
	}
	id, _ := text(at.values["id"])
	extra, ok := list(at.values["extra_source_ids"])
	if !ok {
		r.fault(at, "extra_source_ids is not a list")
		return
	}
	// DocsGPT answers from the sources of both columns.
	sources, err := sourcesOf(append([]any{at.values["source_id"]}, extra...))
	if err != nil {
		r.fault(at, "%v", err)
		return
	}
	r.take(at, r.item(at, id, parseTime(at.values["created_at"])), sources)
}

// sourcesOf returns the IDs of sources, without duplicates.
func sourcesOf(v any) ([]string, error) {
	items, ok := list(v)
	if !ok {
		return nil, errNoSource
	}
	var all []string
	seen := make(map[string]bool, len(items))
	for _, item := range items {
		id, err := sourceOf(item)
		if err != nil {
			return nil, err
		}
		if id != "" && !seen[id] {
			seen[id] = true
			all = append(all, id)
		}
	}
	return all, nil
}

// take completes an item from a database, which contains the key in plaintext.
func (r *converter) take(at *row, it Item, sources []string) {
	key, isText := at.values["key"].(string)
	switch {
	case at.values["key"] == nil || isText && key == "":
		r.skip(at, it.Key.Name, "it has no key: it was never published")
		return
	case !isText:
		r.fault(at, "key is not text")
		return
	case strings.Contains(key, "..."):
		r.skip(at, it.Key.Name, "its key is masked: read the database itself")
		return
	case !keys.IsValidToken(key):
		r.skip(at, it.Key.Name, "its key is not a valid token: a token has 1 to 512 printable ASCII characters and no spaces")
		return
	case keys.HasBadChecksum(key):
		r.skip(at, it.Key.Name, "its key has the format of the gate's own tokens but a wrong checksum")
		return
	}
	it.Key.Digest = keys.DigestOf(key)
	if r.options.Agents {
		it.Key.AgentKey = key
		r.result.Items = append(r.result.Items, it)
		return
	}
	if len(sources) == 0 {
		r.skip(at, it.Key.Name, "it has no source: bind it to the agent instead")
		return
	}
	it.Key.Sources = sources
	if parseBool(at.values["limited_token_mode"]) || parseBool(at.values["limited_request_mode"]) {
		it.Notes = append(it.Notes, "DocsGPT's usage limits of this agent do not apply to a key that is bound to sources")
	}
	if restricted(at.values["config"]) {
		it.Notes = append(it.Notes, "DocsGPT's allowed origins of this agent do not apply to a key that is bound to sources")
	}
	r.result.Items = append(r.result.Items, it)
}

// restricted reports whether a config restricts origins.
func restricted(v any) bool {
	config, ok := v.(map[string]any)
	if s, isText := v.(string); isText && json.Unmarshal([]byte(s), &config) == nil {
		ok = true
	}
	return ok && parseBool(config["restrict_origins"])
}

// notes adds the notes that apply to all items.
func (r *converter) notes() {
	if len(r.result.Items) == 0 {
		return
	}
	if r.result.Format == APIKeys {
		r.result.Notes = append(r.result.Notes,
			"the list contains only the ends of keys: each key gets a new token, which must be set in the pages that use it")
		if len(r.options.Sources) == 0 {
			r.result.Notes = append(r.result.Notes, "source names are used as source ids")
		}
	}
}
