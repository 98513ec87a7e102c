package registry

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// recheckEvery is how often a watched feed looks whether references stand for something else now.
const recheckEvery = 30 * time.Second

// maxPrealloc is for how many keys room is made before they are there.
const maxPrealloc = 1 << 22

// Feed returns the registry's keys as a feed, a keys.DeltaFeed. Each call gives a feed with a position of its own. Its name
// is the storage's.
//
// A key whose binding cannot be known is Unusable, and counts again once it can. A feed looks again after SetRules and
// Recheck, and while it is watched by itself every 30 seconds.
func (r *Registry) Feed() keys.Feed { return &feed{registry: r} }

// feed is the registry as seen from one position.
type feed struct {
	registry *Registry

	mu        sync.Mutex // guards the following
	loaded    bool
	revision  uint64      // of the storage, at the position
	rounds    generations // at the position
	count     int         // keys at the last load
	referrers dependents
	odd       map[string]struct{} // ids of keys whose sources the rules refuse or spell in another way
}

var _ keys.DeltaFeed = (*feed)(nil)

// Name implements keys.Feed.
func (f *feed) Name() string { return f.registry.storage.Name() }

// Load implements keys.Feed.
func (f *feed) Load(ctx context.Context) ([]keys.Key, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loaded = false
	p := f.newPass()
	p.block = new(strings.Builder)
	f.referrers, f.odd = dependents{}, map[string]struct{}{}
	set := make([]keys.Key, 0, f.size(ctx))
	revision, err := f.registry.storage.All(ctx, func(rec *Record) error {
		set = append(set, p.key(rec))
		return nil
	})
	if err != nil {
		return nil, err
	}
	f.referrers.update(p.agents.known)
	f.loaded, f.revision, f.rounds, f.count = true, revision, p.rounds, len(set)
	return set, nil
}

// SizedStorage is a Storage that knows how many records it has without reading them all, so that room for them can be made.
type SizedStorage interface {
	// Count returns the number of records.
	Count(ctx context.Context) (int, error)
}

// size is about how many keys there are.
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
	f.loaded = false // until all of this has gone well
	seen := map[string]bool{}
	put := func(rec *Record) error {
		if !seen[rec.ID] {
			seen[rec.ID] = true
			delta.Upserted = append(delta.Upserted, p.key(rec))
		}
		return nil
	}
	revision, err := f.registry.storage.Changes(ctx, f.revision, put)
	if err != nil {
		return keys.Delta{}, false, err
	}
	if p.rounds.rules != f.rounds.rules {
		if err := f.recheckSources(ctx, p, put); err != nil {
			return keys.Delta{}, false, err
		}
	}
	if p.rounds.recheck != f.rounds.recheck {
		f.referrers.resolve(p.agents)
	}
	for _, id := range f.referrers.update(p.agents.known) {
		if seen[id] {
			continue
		}
		rec, err := f.registry.storage.Get(ctx, id)
		if err != nil {
			return keys.Delta{}, false, err
		}
		_ = put(rec)
	}
	f.loaded, f.revision, f.rounds = true, revision, p.rounds
	return delta, true, nil
}

// recheckSources goes through all keys after the rules have changed. Only those for which that makes a difference are put:
// mostly none, so that it takes no memory to speak of.
func (f *feed) recheckSources(ctx context.Context, p *loadPass, put func(*Record) error) error {
	before := f.odd
	f.odd = map[string]struct{}{}
	_, err := f.registry.storage.All(ctx, func(rec *Record) error {
		if !rec.Agent.IsZero() {
			return nil
		}
		_, was := before[rec.ID]
		_, same, err := p.rules.canonicalSources(rec.Sources)
		if err != nil || !same {
			f.odd[rec.ID] = struct{}{} // also where it has been put already, since it was written lately
		} else if !was {
			return nil
		}
		return put(rec)
	})
	return err
}

// Watch implements keys.Feed.
func (f *feed) Watch(ctx context.Context, changed func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer f.registry.watch(changed)()
	var looking sync.WaitGroup
	defer looking.Wait()
	defer cancel()
	looking.Go(func() {
		tick := time.NewTicker(recheckEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if f.referencesChanged() {
					changed()
				}
			}
		}
	})
	return f.registry.storage.Watch(ctx, changed)
}

// referencesChanged looks whether a reference stands for something else than at the last load. Then the next call of Changes rechecks.
func (f *feed) referencesChanged() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.newPass()
	f.referrers.resolve(p.agents)
	for ref, o := range p.agents.known {
		if !f.referrers[ref].outcome.equal(o) {
			f.rounds.recheck = 0 // no round has this number
			return true
		}
	}
	return false
}

// loadPass is one look at records with the rules of one moment.
type loadPass struct {
	feed   *feed
	rules  Policy
	rounds generations
	agents resolver
	texts  map[string]string // one copy of the id of each source
	block  *strings.Builder  // texts of several keys; nil if each key gets a text of its own
}

// blockSize is how many bytes of texts stand in one piece. It stays as long as one of the keys.
const blockSize = 4096

func (f *feed) newPass() *loadPass {
	rules, rounds := f.registry.currentRules()
	return &loadPass{
		feed: f, rules: rules, rounds: rounds, texts: map[string]string{},
		agents: resolver{registry: f.registry, rules: &rules, known: map[string]resolution{}},
	}
}

// key is what a record means, in as little memory as it takes.
func (p *loadPass) key(rec *Record) keys.Key {
	k, _, odd := p.agents.key(rec)
	if ref := p.agents.reference(rec, k.State); ref != "" {
		p.feed.referrers.add(ref, rec.ID)
	}
	if odd {
		p.feed.odd[rec.ID] = struct{}{}
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

// text returns copies of texts in one piece of memory, or of a block when all keys are loaded: for a million keys that is some
// millions of pieces less.
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

// usedID returns the text of an id that the meter has, if the key was used: after a restart that is there already.
func (p *loadPass) usedID(id string) (same string, known bool) {
	if p.feed.registry.usage == nil {
		return "", false
	}
	return p.feed.registry.usage.ID(id)
}
