package filefeed

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/docsgate/docsgate/keys"
)

const (
	maxNameRunes   = 256
	maxSourceBytes = 256
)

// What is wrong where no name has to be filled in.
const (
	noAlias    = `aliases (*name) and merges (<<) are not supported: write the value out`
	noTag      = `tags (!name) are not supported: remove the tag`
	notMapping = `the file must be a mapping with one member: write "keys:" and below it the list of keys`
	noKeys     = `keys is missing: write "keys:" and below it the list of keys, or "keys: []" for none`
	nullKeys   = `keys has no value: write below it the list of keys, or "keys: []" for none`
	keysNoList = `keys must be a list: begin each key with "- id: "`
	notRecord  = `a key must be a mapping: begin it with "- id: "`
	noID       = `id is missing: give the key a short public name, such as "id: docs-site"`
	badID      = `an id has 1 to 128 letters, digits, ".", "_" or "-" and begins with a letter or a digit`
	badName    = `a name has at most 256 characters, none of them a control character`
	badState   = `state must be "active" or "disabled"`
	noDigest   = `the key has neither sha256 nor token: add sha256 with what "docsgate keys hash" prints for its token`
	twoDigests = `sha256 and token exclude each other: keep sha256 and remove token`
	badDigest  = `sha256 must be 64 hex digits: "docsgate keys hash" reads the token and prints what belongs here`
	noBinding  = `the key is bound to nothing: add source with the ids of its sources, ` +
		`or agent with a placeholder for an upstream DocsGPT key`
	twoBindings = `source and agent exclude each other: keep the one that the key is to be bound to`
	noSources   = `source is empty: name at least one source id`
	badSource   = `a source id has 1 to 256 bytes and no control characters`
	clearToken  = `a secret in clear: put the token into an environment variable and write "{env.NAME}", ` +
		`or replace token by sha256 with what "docsgate keys hash" prints`
	clearAgent = `a secret in clear: put the agent key into an environment variable and write "{env.NAME}", ` +
		`or into a file and write "{file.PATH}"`
)

var (
	idPattern          = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)
	placeholderPattern = regexp.MustCompile(`^\{(env\.[A-Za-z_][A-Za-z0-9_]*|file\.[^{}\pC]+)\}$`)

	fileMembers   = []string{"keys"}
	exportMembers = []string{"keys", "not_exported"}
	recordMembers = []string{"id", "name", "sha256", "token", "source", "agent", "state", "not_before", "expires"}
)

// checker turns nodes into keys and gathers every fault on the way.
type checker struct {
	options *Options
	faults  Faults
	ids     map[string]int // line of each id
	digests map[keys.Digest]owner

	asWritten bool  // agents are not resolved, and what an export says besides is let through; see Entries
	lines     []int // of the keys; only with asWritten
}

// owner is the key that a digest belongs to.
type owner struct {
	id   string // empty if the key has no good one
	line int
}

func (c *checker) fault(at position, format string, args ...any) {
	c.faults = append(c.faults, Fault{Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) file(root *node) []keys.Key {
	if root.kind != mapNode {
		c.wrongKind(root, notMapping)
		return nil
	}
	known := fileMembers
	if c.asWritten {
		known = exportMembers
	}
	list := c.members(root, known, "the file has one member, keys")["keys"]
	switch {
	case list == nil:
		c.fault(root.position, noKeys)
		return nil
	case list.kind == nullNode:
		c.fault(list.position, nullKeys)
		return nil
	case list.kind != listNode:
		c.wrongKind(list, keysNoList)
		return nil
	}
	set := make([]keys.Key, 0, len(list.items))
	for _, item := range list.items {
		if item.kind != mapNode {
			c.wrongKind(item, notRecord)
			continue
		}
		set = append(set, c.record(item))
		if c.asWritten {
			c.lines = append(c.lines, item.line)
		}
	}
	return set
}

// record reads one key. If a fault was found it is not whole.
func (c *checker) record(n *node) keys.Key {
	m := c.members(n, recordMembers, "a key has "+strings.Join(recordMembers, ", "))
	var k keys.Key
	k.ID = c.id(n, m["id"])
	k.Name = k.ID
	if name := m["name"]; name != nil {
		if text, ok := c.text(name, "name"); ok && text != "" {
			k.Name = text
			if utf8.RuneCountInString(text) > maxNameRunes || strings.ContainsFunc(text, unicode.IsControl) {
				c.fault(name.position, badName)
			}
		}
	}
	k.Digest = c.digest(n, m["sha256"], m["token"], k.ID)
	k.Binding = c.binding(n, m["source"], m["agent"])
	if state := m["state"]; state != nil {
		if text, ok := c.text(state, "state"); ok {
			var err error
			if k.State, err = keys.ParseState(text); err != nil {
				c.fault(state.position, badState)
			}
		}
	}
	k.NotBefore = c.time(m["not_before"], "not_before")
	k.Expires = c.time(m["expires"], "expires")
	if !k.NotBefore.IsZero() && !k.Expires.IsZero() && !k.Expires.After(k.NotBefore) {
		c.fault(m["expires"].position, "expires must be after not_before (line %d)", m["not_before"].line)
	}
	return k
}

func (c *checker) id(record, n *node) string {
	if n == nil {
		c.fault(record.position, noID)
		return ""
	}
	id, ok := c.text(n, "id")
	if !ok {
		return ""
	}
	if !idPattern.MatchString(id) {
		c.fault(n.position, badID)
		return ""
	}
	if line, taken := c.ids[id]; taken {
		c.fault(n.position, "id %s stands already on line %d: give this key another one", id, line)
	} else {
		c.ids[id] = n.line
	}
	return id
}

func (c *checker) digest(record, sum, token *node, id string) (d keys.Digest) {
	n := sum
	switch {
	case sum == nil && token == nil:
		c.fault(record.position, noDigest)
		return d
	case sum != nil && token != nil:
		c.fault(later(sum, token), twoDigests)
		return d
	case sum != nil:
		text, ok := c.text(sum, "sha256")
		if !ok {
			return d
		}
		var err error
		if d, err = keys.ParseDigest(text); err != nil || d.IsZero() {
			c.fault(sum.position, badDigest)
			return d
		}
	default:
		n = token
		text, ok := c.secret(token, "token", clearToken)
		if !ok {
			return d
		}
		d = keys.DigestOf(text)
	}
	if first, taken := c.digests[d]; taken {
		c.fault(n.position, "same token as %s: each key needs a token of its own", first)
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

func (c *checker) binding(record, source, agent *node) (b keys.Binding) {
	switch {
	case source == nil && agent == nil:
		c.fault(record.position, noBinding)
	case source != nil && agent != nil:
		c.fault(later(source, agent), twoBindings)
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

func (c *checker) sources(n *node) []string {
	items := []*node{n}
	if n.kind == listNode {
		items = n.items
	}
	if len(items) == 0 {
		c.fault(n.position, noSources)
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
			c.fault(item.position, "the source id stands already on line %d: remove this one", lines[i])
			continue
		}
		ids, lines = append(ids, id), append(lines, item.line)
	}
	if check := c.options.CheckSources; check != nil && len(ids) == len(items) {
		if err := check(len(ids)); err != nil {
			c.fault(n.position, "source: %v", err)
		}
	}
	return ids
}

// source reads one source id in its canonical form.
func (c *checker) source(n *node) (string, bool) {
	id, ok := c.text(n, "a source id")
	if !ok {
		return "", false
	}
	if id == "" || len(id) > maxSourceBytes || strings.ContainsFunc(id, unicode.IsControl) {
		c.fault(n.position, badSource)
		return "", false
	}
	if c.options.CheckSource == nil {
		return id, true
	}
	canonical, err := c.options.CheckSource(id)
	switch {
	case err != nil:
		c.fault(n.position, "source id: %v", err)
	case canonical == "":
		c.fault(n.position, badSource)
	}
	return canonical, err == nil && canonical != ""
}

// later is the position of whichever stands further down in the file: the one to complain about.
func later(a, b *node) position {
	if b.line > a.line || b.line == a.line && b.column > a.column {
		return b.position
	}
	return a.position
}
