package filefeed

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/docsgate/docsgate/internal/displaytext"
	"github.com/docsgate/docsgate/keys"
)

const (
	maxNameRunes   = 256
	maxSourceBytes = 256
)

// Error messages without parameters.
const (
	noAlias    = `aliases (*name) and merges (<<) are not supported: write out the value`
	noTag      = `tags (!name) are not supported: remove the tag`
	notMapping = `the file must be a mapping with the field keys: write "keys:" and the list of keys below it`
	noKeys     = `the field keys is missing: write "keys:" and the list of keys below it, or "keys: []" for none`
	nullKeys   = `keys has no value: write the list of keys below it, or "keys: []" for none`
	keysNoList = `keys must be a list: start each key with "- id: "`
	notRecord  = `a key must be a mapping: start it with "- id: "`
	noID       = `id is missing: give the key a short public name, such as "id: docs-site"`
	badID      = `an id must have 1 to 128 letters, digits, ".", "_" or "-", and start with a letter or digit`
	badName    = `a name must have at most 256 characters and no control characters`
	badState   = `state must be "active" or "disabled"`
	noDigest   = `sha256 or token is required: add sha256 with the output of "docsgate keys hash" for the token`
	twoDigests = `sha256 and token are mutually exclusive: keep sha256 and remove token`
	badDigest  = `sha256 must be 64 hex digits: "docsgate keys hash" reads the token and prints them`
	noBinding  = `source or agent is required: add source with the ids of the key's sources, ` +
		`or agent with a placeholder for an upstream DocsGPT key`
	twoBindings = `source and agent are mutually exclusive: remove one of them`
	noSources   = `source is empty: specify at least one source id`
	badSource   = `a source id must have 1 to 256 bytes and no control characters`
	clearToken  = `a token must not be in plaintext: put it into an environment variable and write "{env.NAME}", ` +
		`or replace token by sha256 with the output of "docsgate keys hash"`
	badChecksum = `the token has the format of the gate's own tokens but a wrong checksum, so it is never accepted: copy it again`
	clearAgent  = `an agent key must not be in plaintext: put it into an environment variable and write "{env.NAME}", ` +
		`or into a file and write "{file.PATH}"`
)

var (
	placeholderPattern = regexp.MustCompile(`^\{(env\.[A-Za-z_][A-Za-z0-9_]*|file\.[^{}\pC]+)\}$`)

	fileFields   = []string{"keys"}
	exportFields = []string{"keys", "skipped"}
	recordFields = []string{
		"id", "name", "sha256", "token", "source", "agent", "state", "not_before", "expires",
		"kind", "origins", "ips", "endpoints", "visitors", "sign_secret", "sign_public_key", "generation", "limits", "limit_message",
	}
	allRecordFields = "the fields of a key are " + strings.Join(recordFields, ", ")
)

// decoder decodes nodes to keys and collects all faults.
type decoder struct {
	options   *Options
	partBytes int // see splitYAML
	set       []keys.Key
	faults    ErrorList
	ids       map[string]int // line of each id
	digests   map[keys.Digest]owner
	seen      *seen       // in place of ids and digests, if only the existence of a fault matters
	values    fieldValues // fields of the current record; reused

	asWritten bool  // agents are not resolved, and additional fields of an export are ignored; see Entries
	lines     []int // line of each key; only with asWritten

	signSecrets map[string]bool // IDs of keys that name a secret for signing; only with asWritten
}

// owner is the key that a digest belongs to.
type owner struct {
	id   string // empty if the key has no valid id
	line int
}

// begin removes the results of an attempt to decode the file.
func (c *decoder) begin() {
	c.set, c.faults, c.lines, c.signSecrets = nil, nil, nil, nil
	c.ids, c.digests = map[string]int{}, map[keys.Digest]owner{}
}

func (c *decoder) errorf(at position, format string, args ...any) {
	c.faults = append(c.faults, Error{Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
}

func (c *decoder) file(root *node) {
	if root.kind != mapNode {
		c.wrongKind(root, notMapping)
		return
	}
	known := fileFields
	if c.asWritten {
		known = exportFields
	}
	list := c.fields(root, known, "the only field of the file is keys").get("keys")
	switch {
	case list == nil:
		c.errorf(root.position, noKeys)
	case list.kind == nullNode:
		c.errorf(list.position, nullKeys)
	case list.kind != listNode:
		c.wrongKind(list, keysNoList)
	default:
		c.records(list.items)
	}
}

// records decodes keys and adds them to the set.
func (c *decoder) records(items []*node) {
	c.set = slices.Grow(c.set, len(items))
	for _, item := range items {
		if item.kind != mapNode {
			c.wrongKind(item, notRecord)
			continue
		}
		c.set = append(c.set, c.record(item))
		if c.asWritten {
			c.lines = append(c.lines, item.line)
		}
	}
}

// record decodes one key. The key is incomplete if there are faults.
func (c *decoder) record(n *node) keys.Key {
	c.values = c.appendFields(c.values[:0], n, recordFields, allRecordFields)
	m := c.values
	var k keys.Key
	k.ID = c.id(n, m.get("id"))
	k.Name = k.ID
	if name := m.get("name"); name != nil {
		if text, ok := c.text(name, "name"); ok && text != "" {
			k.Name = text
			if utf8.RuneCountInString(text) > maxNameRunes || strings.ContainsFunc(text, displaytext.BreaksLine) {
				c.errorf(name.position, badName)
			}
		}
	}
	k.Digest = c.digest(n, m.get("sha256"), m.get("token"), k.ID)
	k.Binding = c.binding(n, m.get("source"), m.get("agent"))
	if state := m.get("state"); state != nil {
		if text, ok := c.text(state, "state"); ok {
			var err error
			if k.State, err = keys.ParseState(text); err != nil {
				c.errorf(state.position, badState)
			}
		}
	}
	k.NotBefore = c.time(m.get("not_before"), "not_before")
	k.Expires = c.time(m.get("expires"), "expires")
	if !k.NotBefore.IsZero() && !k.Expires.IsZero() && !k.Expires.After(k.NotBefore) {
		c.errorf(m.get("expires").position, "expires must be after not_before (line %d)", m.get("not_before").line)
	}
	k.Policy = c.policy(n, m)
	k.VisitorTokens = c.visitorTokens(m, &k)
	return k
}

func (c *decoder) id(record, n *node) string {
	if n == nil {
		c.errorf(record.position, noID)
		return ""
	}
	id, ok := c.text(n, "id")
	if !ok {
		return ""
	}
	if !keys.IsValidID(id) {
		c.errorf(n.position, badID)
		return ""
	}
	if c.seen != nil {
		if !c.seen.addID(id) {
			c.errorf(n.position, "the id may be in use already")
		}
		return id
	}
	if line, used := c.ids[id]; used {
		c.errorf(n.position, "id %s is already used on line %d: give this key another id", id, line)
	} else {
		c.ids[id] = n.line
	}
	return id
}

func (c *decoder) digest(record, sum, token *node, id string) (d keys.Digest) {
	n := sum
	switch {
	case sum == nil && token == nil:
		c.errorf(record.position, noDigest)
		return d
	case sum != nil && token != nil:
		c.errorf(later(sum, token), twoDigests)
		return d
	case sum != nil:
		text, ok := c.text(sum, "sha256")
		if !ok {
			return d
		}
		var err error
		if d, err = keys.ParseDigest(text); err != nil || d.IsZero() {
			c.errorf(sum.position, badDigest)
			return d
		}
	default:
		n = token
		text, ok := c.secret(token, "token", clearToken)
		if !ok {
			return d
		}
		if keys.HasBadChecksum(text) {
			c.errorf(token.position, badChecksum)
			return d
		}
		d = keys.DigestOf(text)
	}
	if c.seen != nil {
		if !c.seen.addDigest(d) {
			c.errorf(n.position, "the token may be in use already")
		}
		return d
	}
	if first, used := c.digests[d]; used {
		c.errorf(n.position, "same token as %s: each key must have its own token", first)
	} else {
		c.digests[d] = owner{id: id, line: n.line}
	}
	return d
}

func (o owner) String() string {
	if o.id == "" {
		return fmt.Sprintf("the key on line %d", o.line)
	}
	return fmt.Sprintf("key %s on line %d", o.id, o.line)
}

func (c *decoder) binding(record, source, agent *node) (b keys.Binding) {
	switch {
	case source == nil && agent == nil:
		c.errorf(record.position, noBinding)
	case source != nil && agent != nil:
		c.errorf(later(source, agent), twoBindings)
	case source != nil:
		b.Sources = c.sources(source)
	default:
		read := c.secret
		if c.asWritten {
			read = c.placeholder
		}
		if text, ok := read(agent, "agent", clearAgent); ok {
			b.Agent = keys.NewSecret(text)
		}
	}
	return b
}

func (c *decoder) sources(n *node) []string {
	items := []*node{n}
	if n.kind == listNode {
		items = n.items
	}
	if len(items) == 0 {
		c.errorf(n.position, noSources)
		return nil
	}
	ids := make([]string, 0, len(items))
	lines := make([]int, 0, len(items))
	for _, item := range items {
		id, ok := c.source(item)
		if !ok {
			continue
		}
		if i := slices.Index(ids, id); i >= 0 {
			c.errorf(item.position, "the source id is already specified on line %d: remove this one", lines[i])
			continue
		}
		ids, lines = append(ids, id), append(lines, item.line)
	}
	if check := c.options.CheckSources; check != nil && len(ids) == len(items) {
		if err := check(len(ids)); err != nil {
			c.errorf(n.position, "source: %v", err)
		}
	}
	return ids
}

// source decodes one source ID and returns its canonical form.
func (c *decoder) source(n *node) (string, bool) {
	id, ok := c.text(n, "a source id")
	if !ok {
		return "", false
	}
	if id == "" || len(id) > maxSourceBytes || strings.ContainsFunc(id, displaytext.BreaksLine) {
		c.errorf(n.position, badSource)
		return "", false
	}
	if c.options.CheckSource == nil {
		return id, true
	}
	canonical, err := c.options.CheckSource(id)
	switch {
	case err != nil:
		c.errorf(n.position, "source id: %v", err)
	case canonical == "":
		c.errorf(n.position, badSource)
	}
	return canonical, err == nil && canonical != ""
}

// later returns the position of the node that is further down in the file, where the fault is reported.
func later(a, b *node) position {
	if b.line > a.line || b.line == a.line && b.column > a.column {
		return b.position
	}
	return a.position
}
