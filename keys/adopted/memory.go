package adopted

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// MemoryOptions configure a Memory.
type MemoryOptions struct {
	Feed         string // name of the feed, which a snapshot must be of
	Filter       Filter
	SnapshotPath string // empty: nothing is kept on disk

	// Note is called with what an operator should know about the snapshot or the filter, in a sentence without secrets. It must
	// not call the Memory. nil drops it.
	Note func(text string)
}

// Memory is what a feed remembers of DocsGPT's agents between two readings: the last ones that are adopted, what has changed
// since the keys were given out, and the snapshot on disk. It is safe for concurrent use. Make one with NewMemory.
type Memory struct {
	options MemoryOptions
	sel     *selector

	mu       sync.Mutex // guards the following
	fresh    time.Time  // when the agents were confirmed; zero: never
	known    bool       // there are agents, read or kept
	read     bool       // they were read from the database
	agents   map[string]Agent
	owners   map[keys.Digest]string // which agent has a token
	repeated map[string]Agent       // left out because others have the same key
	left     map[string]Left        // all that were left out, by their printable ids
	pending  map[string]bool        // ids that have changed since keys were given out
	noted    string                 // what was said last about the snapshot
	notedOff string                 // what was said last about Filter.Off

	disk disk
}

// NewMemory returns a memory that knows of nothing yet. The snapshot is not touched.
func NewMemory(o MemoryOptions) *Memory {
	if o.Note == nil {
		o.Note = func(string) {}
	}
	m := &Memory{options: o, sel: o.Filter.selector()}
	m.disk.path, m.disk.feed = o.SnapshotPath, o.Feed
	return m
}

// Fresh returns when the agents were confirmed last to be all there are; zero: never.
func (m *Memory) Fresh() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fresh
}

// Confirm notes that at a time the database had nothing else.
func (m *Memory) Confirm(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at.After(m.fresh) {
		m.fresh = at
	}
}

// Left returns the agents that have a key and were not adopted, sorted by ID.
func (m *Memory) Left() []Left {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.left), func(a, b Left) int { return cmp.Compare(a.ID, b.ID) })
}

// Load takes all agents that there were at a time, and returns the keys that they become.
func (m *Memory) Load(agents []Agent, at time.Time) []keys.Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	chosen, changed := m.replace(agents)
	if changed {
		m.disk.changed()
	}
	m.fresh, m.read = at, true
	clear(m.pending)
	m.noteOff()
	return keysOf(chosen, m.sel)
}

// noteOff says which of the records whose keys are to be refused are not there: a slip of the pen would leave a key in force.
func (m *Memory) noteOff() {
	missing := maps.Clone(m.sel.off)
	for id := range m.agents {
		delete(missing, strings.ToLower(id))
	}
	for id := range m.left {
		delete(missing, strings.ToLower(id))
	}
	text := ""
	if len(missing) > 0 {
		text = "off names " + strings.Join(slices.Sorted(maps.Keys(missing)), ", ") + ", but no agent with such an id has a key: no key is " +
			"switched off by that"
	}
	if text != "" && text != m.notedOff {
		m.options.Note(text)
	}
	m.notedOff = text
}

// Compare takes all agents that there were at a time, and tells whether Changes has something to say.
func (m *Memory) Compare(agents []Agent, at time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, changed := m.replace(agents); changed {
		m.disk.changed()
	}
	m.fresh, m.read = at, true
	return len(m.pending) > 0
}

// Update takes agents that are new or other than before, and the ids of those that are gone or have no key any more, as of
// a time, and tells whether Changes has something to say. Its cost depends on what has changed only.
func (m *Memory) Update(put []Agent, gone []string, at time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fresh, m.read = at, true
	done, changed := m.edit(put, gone)
	if !done {
		changed = m.rebuild(put, gone)
	}
	if changed {
		m.disk.changed()
	}
	return len(m.pending) > 0
}

// Changes returns what has changed since the last Load or Changes.
func (m *Memory) Changes() keys.Delta {
	m.mu.Lock()
	defer m.mu.Unlock()
	var delta keys.Delta
	for _, id := range slices.Sorted(maps.Keys(m.pending)) {
		if a, ok := m.agents[id]; ok {
			delta.Put = append(delta.Put, a.key(keys.DigestOf(a.Key.Reveal()), m.sel))
		} else {
			delta.Gone = append(delta.Gone, KeyID(id))
		}
	}
	clear(m.pending)
	return delta
}

// Kept returns the last keys, from memory or else from the snapshot, with a *keys.Stale error that says why there are no
// newer ones.
func (m *Memory) Kept(cause error) ([]keys.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.known {
		m.recall()
	}
	clear(m.pending)
	return m.all(), &keys.Stale{At: m.fresh, Err: cause}
}

// recall takes the agents from the snapshot, if there is a good one.
func (m *Memory) recall() {
	if m.options.SnapshotPath == "" {
		return
	}
	agents, at, err := readSnapshot(m.options.SnapshotPath, m.options.Feed)
	if err != nil {
		if m.noted != err.Error() { // it is tried again and again
			m.noted = err.Error()
			m.options.Note(m.noted)
		}
		return
	}
	m.replace(agents)
	m.fresh = at
	if now := time.Now(); at.After(now) {
		m.fresh = now // the clock was set back: they are not good for longer than others
	}
}

// replace makes agents all that there are. It returns those that are adopted, notes what has changed, and tells whether
// something has.
func (m *Memory) replace(agents []Agent) (chosen []choice, changed bool) {
	chosen, others := choose(agents, m.sel)
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
	m.left, m.repeated = make(map[string]Left, len(others)), map[string]Agent{}
	for _, o := range others {
		m.left[printable(o.agent.ID)] = o.agent.Left(o.reason)
		if strings.HasPrefix(o.reason, repeats) {
			m.repeated[o.agent.ID] = *o.agent
		}
	}
	return chosen, changed
}

// rebuild is replace for a few agents, with another look at all others.
func (m *Memory) rebuild(put []Agent, gone []string) bool {
	all, left := maps.Clone(m.agents), m.left
	if all == nil {
		all = map[string]Agent{}
	}
	for id, a := range m.repeated {
		all[id] = a
		delete(left, printable(id))
	}
	for _, id := range gone {
		delete(all, id)
		delete(left, printable(id))
	}
	for i := range put {
		all[put[i].ID] = put[i]
		delete(left, printable(put[i].ID))
	}
	_, changed := m.replace(slices.Collect(maps.Values(all)))
	maps.Copy(m.left, left) // those that the filter leaves out, whatever the others are
	return changed
}

// edit is replace for a few agents. With done false it has done nothing, since it would have had to look at others.
func (m *Memory) edit(put []Agent, gone []string) (done, changed bool) {
	if !m.known || len(m.repeated) > 0 {
		return false, false
	}
	leaving := make(map[string]bool, len(put)+len(gone))
	for _, id := range gone {
		leaving[id] = true
	}
	for i := range put {
		leaving[put[i].ID] = true
	}
	taken := make(map[keys.Digest]bool, len(put))
	for i := range put {
		d := keys.DigestOf(put[i].Key.Reveal())
		if owner, ok := m.owners[d]; taken[d] || ok && !leaving[owner] {
			return false, false
		}
		taken[d] = true
	}
	before := make(map[string]Agent, len(leaving))
	for id := range leaving {
		if a, ok := m.agents[id]; ok {
			before[id] = a
			delete(m.agents, id)
			delete(m.owners, keys.DigestOf(a.Key.Reveal()))
		}
		delete(m.left, printable(id))
	}
	for i := range put {
		a := put[i]
		if a.Key.IsZero() {
			continue
		}
		if reason := m.sel.leaves(&a); reason != "" {
			m.left[printable(a.ID)] = a.Left(reason)
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
func (m *Memory) all() []keys.Key {
	set := make([]keys.Key, 0, len(m.agents))
	for _, id := range slices.Sorted(maps.Keys(m.agents)) {
		a := m.agents[id]
		set = append(set, a.key(keys.DigestOf(a.Key.Reveal()), m.sel))
	}
	return set
}
