package docsgptkeys

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// AgentCacheOptions configures an AgentCache.
type AgentCacheOptions struct {
	Feed         string // name of the feed; a snapshot of another feed is rejected
	Filter       Filter
	SnapshotPath string // empty: no snapshot on disk

	// OnWarning is called with messages for operators about the snapshot or the filter. They contain no secrets. It must not call
	// the AgentCache. nil discards them.
	OnWarning func(text string)
}

// AgentCache is a feed's cache of DocsGPT's agents between two reads of the database: the agents of the last read, the changes
// since keys were last returned, and the snapshot on disk. It is safe for concurrent use. Create one with NewAgentCache.
type AgentCache struct {
	options AgentCacheOptions
	sel     *selector

	mu                sync.Mutex // guards the following
	confirmed         time.Time  // when the agents were last confirmed; zero: never
	known             bool       // agents were read from the database or the snapshot
	read              bool       // agents were read from the database
	agents            map[string]Agent
	owners            map[keys.Digest]string // ID of the agent that has a token
	duplicates        map[string]Agent       // skipped because other agents have the same key
	skipped           map[string]Skipped     // all skipped agents, by their printable IDs
	pending           map[string]bool        // IDs that have changed since keys were last returned
	lastNote          string                 // last message about the snapshot
	lastExclusionNote string                 // last message about Filter.Excluded
	exclusionsChecked bool                   // see CheckExclusions

	disk snapshotWriter
}

// NewAgentCache returns an empty AgentCache. It does not access the snapshot.
func NewAgentCache(o AgentCacheOptions) *AgentCache {
	if o.OnWarning == nil {
		o.OnWarning = func(string) {}
	}
	m := &AgentCache{options: o, sel: o.Filter.selector()}
	m.disk.path, m.disk.feed = o.SnapshotPath, o.Feed
	return m
}

// LastConfirmed returns when the agents were last confirmed to be current and complete; zero: never.
func (m *AgentCache) LastConfirmed() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.confirmed
}

// Confirm records that at a time the database had no other agents.
func (m *AgentCache) Confirm(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at.After(m.confirmed) {
		m.confirmed = at
	}
}

// Skipped returns the agents that have a key and were skipped, sorted by ID.
func (m *AgentCache) Skipped() []Skipped {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.skipped), func(a, b Skipped) int { return cmp.Compare(a.ID, b.ID) })
}

// Load sets the agents to the complete set as of a time, and returns their keys.
func (m *AgentCache) Load(agents []Agent, at time.Time) []keys.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	chosen, changed := m.replace(agents)
	if changed {
		m.disk.changed()
	}
	m.confirmed, m.read = at, true
	clear(m.pending)
	m.warnUnknownExclusions()
	return keysOf(chosen, m.sel)
}

// warnUnknownExclusions warns about records in Filter.Excluded that do not exist: because of a typo a key would stay valid.
func (m *AgentCache) warnUnknownExclusions() {
	missing := maps.Clone(m.sel.excluded)
	for id := range m.agents {
		delete(missing, strings.ToLower(id))
	}
	for id := range m.skipped {
		delete(missing, strings.ToLower(id))
	}
	text := ""
	if len(missing) > 0 {
		text = "exclude_keys contains " + strings.Join(slices.Sorted(maps.Keys(missing)), ", ") + ", but no agent with such an id has a key: " +
			"no key is disabled by that"
	}
	if text != "" && text != m.lastExclusionNote {
		m.options.OnWarning(text)
	}
	m.lastExclusionNote = text
}

// Diff sets the agents to the complete set as of a time, and reports whether Changes will return any.
func (m *AgentCache) Diff(agents []Agent, at time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, changed := m.replace(agents); changed {
		m.disk.changed()
	}
	m.confirmed, m.read = at, true
	return len(m.pending) > 0
}

// Update applies new or modified agents and the IDs of agents that are deleted or no longer have a key, as of a time, and
// reports whether Changes will return any. Its cost depends only on the number of changed agents.
func (m *AgentCache) Update(put []Agent, gone []string, at time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.confirmed, m.read = at, true
	done, changed := m.applyIncremental(put, gone)
	if !done {
		changed = m.rebuild(put, gone)
	}
	if changed {
		m.disk.changed()
	}
	return len(m.pending) > 0
}

// Changes returns what has changed since the last Load or Changes.
func (m *AgentCache) Changes() keys.Delta {
	m.mu.Lock()
	defer m.mu.Unlock()
	var delta keys.Delta
	for _, id := range slices.Sorted(maps.Keys(m.pending)) {
		if a, ok := m.agents[id]; ok {
			delta.Upserted = append(delta.Upserted, a.key(keys.DigestOf(a.Key.Reveal()), m.sel))
		} else {
			delta.Deleted = append(delta.Deleted, KeyID(id))
		}
	}
	clear(m.pending)
	return delta
}

// Cached returns the last keys, from memory or else from the snapshot, with a *keys.StaleError error that contains the reason why
// there are no current ones.
func (m *AgentCache) Cached(cause error) ([]keys.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.known {
		m.loadSnapshot()
	}
	clear(m.pending)
	return m.all(), &keys.StaleError{AsOf: m.confirmed, Err: cause}
}

// loadSnapshot loads the agents from the snapshot, if it is valid.
func (m *AgentCache) loadSnapshot() {
	if m.options.SnapshotPath == "" {
		return
	}
	agents, at, err := readSnapshot(m.options.SnapshotPath, m.options.Feed)
	if err != nil {
		if m.lastNote != err.Error() { // it is retried repeatedly
			m.lastNote = err.Error()
			m.options.OnWarning(m.lastNote)
		}
		return
	}
	m.replace(agents)
	m.confirmed = at
	if now := time.Now(); at.After(now) {
		m.confirmed = now // the clock was set back: a time in the future must not extend the max stale time
	}
}

// replace sets the agents to a complete set. It returns the selected ones, records the changes, and reports whether there are
// any.
func (m *AgentCache) replace(agents []Agent) (chosen []acceptedAgent, changed bool) {
	chosen, others := partition(agents, m.sel)
	old, first := m.agents, !m.known
	m.known, changed = true, first
	m.agents = make(map[string]Agent, len(chosen))
	m.owners = make(map[keys.Digest]string, len(chosen))
	if m.pending == nil {
		m.pending = map[string]bool{}
	}
	for _, c := range chosen {
		id := c.agent.ID
		m.agents[id], m.owners[c.digest] = *c.agent, id
		if before, ok := old[id]; !ok || !before.same(c.agent) {
			m.pending[id], changed = true, true
		}
	}
	for id := range old {
		if _, stays := m.agents[id]; !stays {
			m.pending[id], changed = true, true
		}
	}
	m.skipped, m.duplicates = make(map[string]Skipped, len(others)), map[string]Agent{}
	for _, o := range others {
		m.skipped[printable(o.agent.ID)] = o.agent.AsSkipped(o.reason)
		if strings.HasPrefix(o.reason, reasonDuplicateKey) {
			m.duplicates[o.agent.ID] = *o.agent
		}
	}
	return chosen, changed
}

// rebuild is like replace for a few agents, but selects again among all agents.
func (m *AgentCache) rebuild(put []Agent, gone []string) bool {
	all, skipped := maps.Clone(m.agents), m.skipped
	if all == nil {
		all = map[string]Agent{}
	}
	for id, a := range m.duplicates {
		all[id] = a
		delete(skipped, printable(id))
	}
	for _, id := range gone {
		delete(all, id)
		delete(skipped, printable(id))
	}
	for i := range put {
		all[put[i].ID] = put[i]
		delete(skipped, printable(put[i].ID))
	}
	_, changed := m.replace(slices.Collect(maps.Values(all)))
	maps.Copy(m.skipped, skipped) // skipped by the filter, regardless of other agents
	return changed
}

// applyIncremental is like replace for a few agents. If done is false, nothing was changed, since other agents are affected.
func (m *AgentCache) applyIncremental(put []Agent, gone []string) (done, changed bool) {
	if !m.known || len(m.duplicates) > 0 {
		return false, false
	}
	leaving := make(map[string]bool, len(put)+len(gone))
	for _, id := range gone {
		leaving[id] = true
	}
	for i := range put {
		leaving[put[i].ID] = true
	}
	used := make(map[keys.Digest]bool, len(put))
	for i := range put {
		d := keys.DigestOf(put[i].Key.Reveal())
		if owner, ok := m.owners[d]; used[d] || ok && !leaving[owner] {
			return false, false
		}
		used[d] = true
	}
	before := make(map[string]Agent, len(leaving))
	for id := range leaving {
		if a, ok := m.agents[id]; ok {
			before[id] = a
			delete(m.agents, id)
			delete(m.owners, keys.DigestOf(a.Key.Reveal()))
		}
		delete(m.skipped, printable(id))
	}
	for i := range put {
		a := put[i]
		if a.Key.IsZero() {
			continue
		}
		if reason := m.sel.skipReason(&a); reason != "" {
			m.skipped[printable(a.ID)] = a.AsSkipped(reason)
			continue
		}
		m.agents[a.ID], m.owners[keys.DigestOf(a.Key.Reveal())] = a, a.ID
		old, had := before[a.ID]
		delete(before, a.ID)
		if !had || !old.same(&a) {
			m.pending[a.ID], changed = true, true
		}
	}
	for id := range before {
		m.pending[id], changed = true, true
	}
	return true, changed
}

// all returns the keys of all agents, sorted by ID.
func (m *AgentCache) all() []keys.Key {
	set := make([]keys.Key, 0, len(m.agents))
	for _, id := range slices.Sorted(maps.Keys(m.agents)) {
		a := m.agents[id]
		set = append(set, a.key(keys.DigestOf(a.Key.Reveal()), m.sel))
	}
	return set
}
