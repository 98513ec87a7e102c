package registry

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// recheckEvery is the interval at which a watched feed resolves references again.
const recheckEvery = 30 * time.Second

// maxPrealloc limits the number of keys for which memory is allocated in advance.
const maxPrealloc = 1 << 22

// Feed returns the registry's keys as a keys.DeltaFeed. Each feed has its own position. Its name is that of the storage.
//
// A key whose binding cannot be resolved has the state BindingUnavailable until it can be resolved. Bindings are resolved again
// after SetRules and Recheck, and every 30 seconds while the feed is watched.
//
// If the storage is a RemoteStorage, the feed is a keys.RemoteFeed.
func (r *Registry) Feed() keys.Feed {
	f := &feed{registry: r}
	if remote, ok := r.storage.(RemoteStorage); ok {
		f.remote = remote
		return &remoteFeed{f}
	}
	return f
}

// feed implements keys.DeltaFeed.
type feed struct {
	registry *Registry
	remote   RemoteStorage // nil: the storage is not remote

	mu           sync.Mutex // guards the following
	loaded       bool
	revision     uint64   // position in the storage
	position     Position // position in a remote storage
	generations  generations
	count        int // keys at the last load
	dependents   dependents
	nonCanonical map[string]struct{} // ids of keys whose sources the rules reject or spell differently
}

var _ keys.DeltaFeed = (*feed)(nil)

// Name implements keys.Feed.
func (f *feed) Name() string { return f.registry.storage.Name() }

// Load implements keys.Feed.
func (f *feed) Load(ctx context.Context) ([]keys.Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loaded = false
	set, err := f.load(ctx, f.readAll)
	if f.remote != nil {
		if err == nil {
			err = f.registry.followOverrides(ctx, f.remote)
		}
		if errors.Is(err, ErrUnavailable) {
			return f.loadCopy(ctx, err)
		}
	}
	if err != nil {
		return nil, err
	}
	f.loaded = true
	return set, nil
}

// load returns the keys of the records that read calls its argument for.
func (f *feed) load(ctx context.Context, read func(context.Context, func(*Record) error) error) ([]keys.Key, error) {
	p := f.newPass()
	p.block = new(strings.Builder)
	f.dependents, f.nonCanonical = dependents{}, map[string]struct{}{}
	set := make([]keys.Key, 0, f.size(ctx))
	err := read(ctx, skipDeleted(func(rec *Record) error {
		set = append(set, p.key(rec))
		return nil
	}))
	f.dependents.update(p.agents.resolved)
	f.generations, f.count = p.generations, len(set)
	return set, err
}

func (f *feed) readAll(ctx context.Context, yield func(*Record) error) (err error) {
	if f.remote != nil {
		f.position, err = f.remote.ReadAll(ctx, yield)
		return err
	}
	f.revision, err = f.registry.storage.All(ctx, yield)
	return err
}

// SizedStorage is a Storage that can count its records without reading them. It allows a feed to allocate memory in advance.
type SizedStorage interface {
	// Count returns the number of records.
	Count(ctx context.Context) (int, error)
}

// size estimates the number of keys.
func (f *feed) size(ctx context.Context) int {
	if c, ok := f.registry.storage.(SizedStorage); ok {
		if n, err := c.Count(ctx); err == nil {
			return min(n, maxPrealloc)
		}
	}
	return f.count
}

// Changes implements keys.DeltaFeed.
func (f *feed) Changes(ctx context.Context) (delta keys.Delta, ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.loaded {
		return keys.Delta{}, false, nil
	}
	p := f.newPass()
	f.loaded = false // until all of this has succeeded
	seen := map[string]bool{}
	put := func(rec *Record) error {
		switch {
		case seen[rec.ID]:
			return nil
		case rec.IsDeleted():
			delta.Deleted = append(delta.Deleted, rec.ID)
		default:
			delta.Upserted = append(delta.Upserted, p.key(rec))
		}
		seen[rec.ID] = true
		return nil
	}
	revision, position, err := f.readChanges(ctx, put)
	switch {
	case f.remote != nil && errors.Is(err, ErrHistory):
		return keys.Delta{}, false, nil
	case f.remote != nil && errors.Is(err, ErrUnavailable):
		f.loaded = true
		return keys.Delta{}, true, f.stale(err)
	case err != nil:
		return keys.Delta{}, false, err
	}
	f.forget(delta.Deleted)
	if p.generations.rules != f.generations.rules {
		if err := f.recheckSources(ctx, p, put); err != nil {
			return keys.Delta{}, false, err
		}
	}
	if p.generations.recheck != f.generations.recheck {
		f.dependents.resolve(p.agents)
	}
	for _, id := range f.dependents.update(p.agents.resolved) {
		if seen[id] {
			continue
		}
		rec, err := f.registry.storage.Get(ctx, id)
		if err != nil {
			return keys.Delta{}, false, err
		}
		_ = put(rec)
	}
	f.loaded, f.revision, f.position, f.generations = true, revision, position, p.generations
	return delta, true, nil
}

func (f *feed) readChanges(ctx context.Context, yield func(*Record) error) (revision uint64, p Position, err error) {
	if f.remote == nil {
		revision, err = f.registry.storage.Changes(ctx, f.revision, yield)
		return revision, p, err
	}
	if p, err = f.remote.ReadChanges(ctx, f.position, yield); err == nil && p.Overrides != f.position.Overrides {
		err = f.registry.followOverrides(ctx, f.remote)
	}
	return 0, p, err
}

// forget removes what is kept about deleted keys.
func (f *feed) forget(ids []string) {
	for _, id := range ids {
		delete(f.nonCanonical, id)
		if f.registry.usage != nil {
			f.registry.usage.Forget(id)
		}
	}
	if len(ids) > 0 {
		f.dependents.remove(ids)
	}
}

// recheckSources checks the sources of all keys after the rules have changed. It calls put only for keys that are affected,
// usually none, so it needs little memory.
func (f *feed) recheckSources(ctx context.Context, p *loadPass, put func(*Record) error) error {
	before := f.nonCanonical
	f.nonCanonical = map[string]struct{}{}
	_, err := f.registry.storage.All(ctx, skipDeleted(func(rec *Record) error {
		if !rec.Agent.IsZero() {
			return nil
		}
		_, was := before[rec.ID]
		_, same, err := p.rules.canonicalSources(rec.Sources)
		if err != nil || !same {
			f.nonCanonical[rec.ID] = struct{}{} // even if put was already called, since it was written recently
		} else if !was {
			return nil
		}
		return put(rec)
	}))
	return err
}

// Watch implements keys.Feed.
func (f *feed) Watch(ctx context.Context, changed func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer f.registry.watch(changed)()
	if f.isOutdated() { // since a Recheck after the last load, but before this call
		changed()
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		tick := time.NewTicker(recheckEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				f.registry.recheckOverrides()
				if f.referencesChanged() {
					changed()
				}
			}
		}
	})
	return f.registry.storage.Watch(ctx, changed)
}

// isOutdated reports whether the rules, or the resolution of references, may have changed since the last load.
func (f *feed) isOutdated() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, now := f.registry.currentRules()
	return f.generations != now
}

// referencesChanged reports whether the resolution of a reference has changed since the last load. If so, the next call of Changes
// resolves all references again.
func (f *feed) referencesChanged() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.newPass()
	f.dependents.resolve(p.agents)
	for ref, o := range p.agents.resolved {
		if !f.dependents[ref].resolution.equal(o) {
			f.generations.recheck = 0 // not a valid generation
			return true
		}
	}
	return false
}

// loadPass converts records to keys with one set of rules.
type loadPass struct {
	feed        *feed
	rules       Rules
	generations generations
	agents      resolver
	texts       map[string]string // ids of sources, each stored once
	block       *strings.Builder  // texts of several keys; nil: the texts of each key are allocated separately
}

// blockSize is the size of an allocation for texts. It is not freed before the last of its keys.
const blockSize = 4096

func (f *feed) newPass() *loadPass {
	rules, gen := f.registry.currentRules()
	return &loadPass{
		feed: f, rules: rules, generations: gen, texts: map[string]string{},
		agents: resolver{registry: f.registry, rules: &rules, resolved: map[string]resolution{}},
	}
}

// key converts a record to a key, using as little memory as possible.
func (p *loadPass) key(rec *Record) keys.Key {
	k, _, nonCanonical := p.agents.key(rec)
	if ref := p.agents.reference(rec, k.State); ref != "" {
		p.feed.dependents.add(ref, rec.ID)
	}
	if p.agents.lacksSignSecret(rec, &k) {
		p.agents.resolve(secretReference)
		p.feed.dependents.add(secretReference, rec.ID)
	}
	if nonCanonical {
		p.feed.nonCanonical[rec.ID] = struct{}{}
	}
	for i, id := range k.Binding.Sources {
		text, known := p.texts[id]
		if !known {
			text = strings.Clone(id)
			p.texts[text] = text
		}
		k.Binding.Sources[i] = text
	}
	name := rec.Name
	if name == rec.ID {
		name = ""
	}
	id, known := p.usedID(rec.ID)
	if known {
		k.ID = id
		k.Hint, k.Name, _ = p.text(rec.Hint, name, "")
	} else {
		k.Hint, k.Name, k.ID = p.text(rec.Hint, name, rec.ID)
	}
	if name == "" {
		k.Name = k.ID
	}
	return k
}

// text returns copies of texts in a single allocation, or in a block if all keys are loaded: that saves millions of allocations
// for a million keys.
func (p *loadPass) text(a, b, c string) (string, string, string) {
	n := len(a) + len(b) + len(c)
	block := p.block
	if block == nil || n > blockSize/8 {
		block = new(strings.Builder)
		block.Grow(n)
	} else if block.Cap()-block.Len() < n {
		*block = strings.Builder{}
		block.Grow(blockSize)
	}
	from := block.Len()
	block.WriteString(a)
	block.WriteString(b)
	block.WriteString(c)
	text := block.String()[from:]
	return text[:len(a)], text[len(a) : len(a)+len(b)], text[len(a)+len(b):]
}

// usedID returns the counter's copy of an id, if the key was ever used.
func (p *loadPass) usedID(id string) (same string, known bool) {
	if p.feed.registry.usage == nil {
		return "", false
	}
	return p.feed.registry.usage.ID(id)
}
