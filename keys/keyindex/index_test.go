package keyindex

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

var _ keys.Listener = (*Index)(nil)

func newCatalog(all ...*keys.Key) *Index {
	c := New()
	c.KeysChanged(nil, all)
	return c
}

func mustPage(t testing.TB, c *Index, q Query) Page {
	t.Helper()
	if q.Now.IsZero() {
		q.Now = noon
	}
	p, err := c.Page(q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	return p
}

func ids(all []*keys.Key) string {
	list := make([]string, len(all))
	for i, k := range all {
		list[i] = k.ID
	}
	return strings.Join(list, " ")
}

func TestOrder(t *testing.T) {
	key := func(id string, created time.Time) *keys.Key { return &keys.Key{ID: id, Created: created} }
	c := newCatalog(
		key("old", noon.Add(-time.Hour)), key("unknown-b", time.Time{}), key("new", noon.Add(time.Hour)), key("unknown-a", time.Time{}),
		key("b", noon), key("a", noon), key("nano", noon.Add(1)), key("ancient", time.Unix(-1e12, 0)),
	)
	if got, want := ids(mustPage(t, c, Query{}).Keys), "new nano a b old ancient unknown-a unknown-b"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
}

func TestTextSearch(t *testing.T) {
	c := newCatalog(
		&keys.Key{ID: "key_one", Name: "Support Straße", Hint: "aB3d", Binding: keys.Binding{Sources: []string{"6650a1", "Σίσυφος"}}},
		&keys.Key{ID: "key_two", Name: "ДОКИ \x00\xff<script>", Hint: "zZ9y"},
		&keys.Key{ID: "key_three", Binding: keys.Binding{Sources: []string{""}}},
	)
	cases := map[string]struct{ text, want string }{
		"nothing":                         {"", "key_one key_three key_two"},
		"substring of all ids":            {"KEY_", "key_one key_three key_two"},
		"substring of one name":           {"port s", "key_one"},
		"another letter case":             {"sUPPORT", "key_one"},
		"non-ASCII letter case":           {"доки", "key_two"},
		"letter that folds to two":        {"STRASSE", "key_one"},
		"a source":                        {"50A1", "key_one"},
		"three forms of one letter":       {"ΣΊΣΥΦΟΣ", "key_one"},
		"a hint":                          {"Ab3D", "key_one"},
		"a zero byte":                     {" \x00", "key_two"},
		"invalid UTF-8":                   {"\xff", "key_two"},
		"across the name and the id":      {"straßekey", ""},
		"with the separator between them": {"straße\xffkey", ""},
		"across the hint and the sources": {"ab3d6650", ""},
		"across two sources":              {"6650a1σ", ""},
		"across two keys":                 {"zz9ykey", ""},
		"not in any key":                  {"missing", ""},
		"longer than all texts":           {strings.Repeat("support straße", 100), ""},
		"markup":                          {"<SCRIPT>", "key_two"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := mustPage(t, c, Query{Text: tc.text})
			if got := ids(p.Keys); got != tc.want || p.Total != len(p.Keys) {
				t.Errorf("%q finds %q (%d), want %q", tc.text, got, p.Total, tc.want)
			}
		})
	}
}

// The source filter matches exactly, and only sources.
func TestSourceFilter(t *testing.T) {
	bound := func(id string, sources ...string) *keys.Key {
		return &keys.Key{ID: id, Name: "6650a1", Binding: keys.Binding{Sources: sources}}
	}
	c := newCatalog(bound("a", "6650a1"), bound("b", "x", "6650a1", "y"), bound("c", "6650A1"), bound("d", "6650a1x"), bound("6650a1", "z"), bound("e", "É", "é"))
	for source, want := range map[string]string{
		"6650a1": "a b", "6650A1": "c", "6650": "", "x": "b", "É": "e", "é": "e", "e": "", "none": "", "\xff": "",
	} {
		if got := ids(mustPage(t, c, Query{Source: source}).Keys); got != want {
			t.Errorf("source %q: %q, want %q", source, got, want)
		}
	}
	if got := ids(mustPage(t, c, Query{Source: "6650a1", Text: "B"}).Keys); got != "b" {
		t.Errorf("with a text: %q", got)
	}
}

// Time bounds are exact to the nanosecond, however far they are in the past or future.
func TestStateFilter(t *testing.T) {
	bounded := func(id string, from, expires time.Time) *keys.Key {
		return &keys.Key{ID: id, NotBefore: from, Expires: expires}
	}
	all := []*keys.Key{
		bounded("always", time.Time{}, time.Time{}),
		bounded("since 1960", time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}),
		bounded("until 9999", time.Time{}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)),
		bounded("until 1969", time.Time{}, time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)),
		bounded("from 3000 on", time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}),
		bounded("noon", noon, noon.Add(1)),
		bounded("a second", noon.Add(-time.Second), noon.Add(time.Second)),
	}
	for i, s := range []keys.State{keys.Disabled, keys.Revoked, keys.BindingUnavailable, 99} {
		all = append(all, &keys.Key{ID: fmt.Sprint("state ", i), State: s, Expires: noon})
	}
	c := newCatalog(all...)
	for _, now := range []time.Time{
		noon, noon.Add(-1), noon.Add(1), noon.Add(time.Second), noon.Add(-time.Second), noon.Add(999 * time.Millisecond),
		time.Unix(0, 0), time.Unix(1, 5), time.Unix(-40000000, 0), time.Unix(1<<32-1, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(9998, 1, 1, 0, 0, 0, 0, time.UTC),
		{},
	} {
		for _, state := range []keys.Reason{keys.Allowed, keys.DisabledKey, keys.RevokedKey, keys.UnusableKey, keys.NotYetValid, keys.Expired, "nonsense"} {
			var want []*keys.Key
			for _, k := range all {
				if k.Status(now) == state {
					want = append(want, k)
				}
			}
			slices.SortFunc(want, func(a, b *keys.Key) int { return cmp.Compare(a.ID, b.ID) })
			p, err := c.Page(Query{State: state, Now: now})
			if err != nil || ids(p.Keys) != ids(want) || p.Total != len(want) {
				t.Errorf("%s at %v: %q, want %q; %v", state, now, ids(p.Keys), ids(want), err)
			}
		}
	}
}

// There may be more feeds than feed numbers.
func TestFeedFilter(t *testing.T) {
	const feeds = 1<<16 + 50
	all := make([]*keys.Key, feeds)
	for i := range all {
		all[i] = &keys.Key{ID: fmt.Sprint("key-", i), Feed: fmt.Sprint("feed-", i)}
	}
	c := newCatalog(all...)
	for _, i := range []int{0, 1, 1<<16 - 2, 1<<16 - 1, 1 << 16, feeds - 1} {
		if p := mustPage(t, c, Query{Feed: all[i].Feed}); ids(p.Keys) != all[i].ID {
			t.Errorf("%s: %q", all[i].Feed, ids(p.Keys))
		}
	}
	if p := mustPage(t, c, Query{Feed: "none"}); p.Total != 0 {
		t.Errorf("%d keys of an unknown feed", p.Total)
	}
	if p := mustPage(t, newCatalog(all[0]), Query{Feed: "none"}); p.Total != 0 {
		t.Errorf("%d keys of an unknown feed among few keys", p.Total)
	}
}

func TestPageLimit(t *testing.T) {
	all := make([]*keys.Key, 2500)
	for i := range all {
		all[i] = &keys.Key{ID: fmt.Sprintf("key-%04d", i)}
	}
	c := newCatalog(all...)
	for limit, want := range map[int]int{-1: 50, 0: 50, 1: 1, 1000: 1000, 1001: 1000, 1 << 40: 1000} {
		if p := mustPage(t, c, Query{Limit: limit}); len(p.Keys) != want || p.Total != 2500 || p.Next == "" {
			t.Errorf("limit %d: %d of %d keys", limit, len(p.Keys), p.Total)
		}
	}
	// A full last page is recognized as the last one.
	p := mustPage(t, c, Query{Limit: 1000})
	p = mustPage(t, c, Query{Limit: 1000, After: p.Next})
	if p = mustPage(t, c, Query{Limit: 500, After: p.Next}); len(p.Keys) != 500 || p.Next != "" {
		t.Errorf("%d keys, then %q", len(p.Keys), p.Next)
	}
	if p := mustPage(t, New(), Query{}); len(p.Keys) != 0 || p.Next != "" || p.Total != 0 {
		t.Errorf("an empty catalog: %+v", p)
	}
}

func TestCursors(t *testing.T) {
	for _, id := range []string{"", "a", "key_01hzy", strings.Repeat("long", 100), "é\x00\xff"} {
		for _, created := range []time.Time{{}, noon, time.Unix(-1e12, 999999999)} {
			want := positionOf(&keys.Key{ID: id, Created: created})
			if got, err := parseCursor(want.cursor()); err != nil || got != want {
				t.Errorf("%+v was decoded as %+v, %v", want, got, err)
			}
		}
	}
	good := positionOf(&keys.Key{ID: "key_01hzy", Created: noon}).cursor()
	for name, bad := range map[string]string{
		"a word": "next", "a number": "2", "a space": " ", "truncated": good[:len(good)-2], "longer": good + "AA", "padded": good + "=",
		"another character": strings.Replace(good, good[9:10], "_", 1), "a newline": good + "\n", "not ASCII": "ключ",
		"another version": "B" + good[1:],
	} {
		if p, err := New().Page(Query{After: bad, Now: noon}); !errors.Is(err, ErrCursor) || len(p.Keys) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// naive is the reference implementation, which scans all keys.
type naive map[string]*keys.Key

func (n naive) matching(q Query) []*keys.Key {
	var list []*keys.Key
	has := func(text string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(q.Text)) }
	for _, k := range n {
		if (has(k.Name) || has(k.ID) || has(k.Hint) || slices.ContainsFunc(k.Binding.Sources, has)) &&
			(q.State == "" || k.Status(q.Now) == q.State) && (q.Feed == "" || k.Feed == q.Feed) &&
			(q.Source == "" || slices.Contains(k.Binding.Sources, q.Source)) {
			list = append(list, k)
		}
	}
	slices.SortFunc(list, func(a, b *keys.Key) int {
		if a.Created.IsZero() != b.Created.IsZero() {
			if a.Created.IsZero() {
				return 1
			}
			return -1
		}
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	return list
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// randomKey chooses from few values, so that queries match many keys, and times and texts are often equal.
func randomKey(r *rand.Rand, id string) *keys.Key {
	at := func() time.Time {
		return pick(r, time.Time{}, time.Time{}, noon, noon.Add(time.Duration(r.IntN(9)-4)*time.Second), noon.Add(time.Duration(r.IntN(9)-4)))
	}
	k := &keys.Key{
		ID: id, Name: pick(r, "Support", "support desk", "Docs", "", "SALES é", "É", id), Hint: pick(r, "", "aB3d", "Docs"),
		State: keys.State(r.IntN(4)), NotBefore: at(), Expires: at(), Created: at(), Feed: pick(r, "store", "file:a", "file:b"),
	}
	for range r.IntN(4) {
		k.Binding.Sources = append(k.Binding.Sources, pick(r, "docs", "Docs", "support", "7d0c", "é"))
	}
	return k
}

func randomQuery(r *rand.Rand) Query {
	q := Query{Now: noon.Add(time.Duration(r.IntN(5)-2) * pick(r, time.Second, 1)), Limit: pick(r, 0, 1, 7, 1000)}
	if r.IntN(2) == 0 {
		q.Text = pick(r, "docs", "SUPPORT", "é", "É", "key-1", "y-2", "e", "missing", "ab3", "ts", "7d0cs")
	}
	if r.IntN(3) == 0 {
		q.State = pick(r, keys.Allowed, keys.DisabledKey, keys.RevokedKey, keys.UnusableKey, keys.NotYetValid, keys.Expired)
	}
	if r.IntN(3) == 0 {
		q.Source = pick(r, "docs", "Docs", "DOCS", "7d0c", "é", "É", "none")
	}
	if r.IntN(3) == 0 {
		q.Feed = pick(r, "store", "file:a", "none")
	}
	return q
}

// After any additions, changes and removals, a few or thousands at a time, every query returns the same as the reference
// implementation.
func TestCatalogMatchesReference(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			c, model := New(), naive{}
			for step := range 40 {
				var out, in []*keys.Key
				n := pick(r, 1, 1, 3, 300, 1500)
				switch r.IntN(4) {
				case 0: // remove
					for id, k := range model {
						if n--; n < 0 {
							break
						}
						out = append(out, k)
						delete(model, id)
					}
				case 1: // change
					for _, k := range model {
						if n--; n < 0 {
							break
						}
						changed := randomKey(r, k.ID)
						if r.IntN(2) == 0 {
							changed.Created = k.Created
						}
						out, in = append(out, k), append(in, changed)
					}
					for _, k := range in {
						model[k.ID] = k
					}
				default: // add
					for i := range n {
						id := fmt.Sprintf("key-%d-%d-%d", r.IntN(100), step, i)
						in = append(in, randomKey(r, id))
						model[id] = in[i]
					}
				}
				c.KeysChanged(out, in)
				checkChunks(t, c, len(model))
				for range 3 {
					q := randomQuery(r)
					want := model.matching(q)
					var got []*keys.Key
					for pages := 0; ; pages++ {
						p := mustPage(t, c, q)
						if p.Total != len(want) {
							t.Fatalf("%+v: total %d, want %d", q, p.Total, len(want))
						}
						got = append(got, p.Keys...)
						if q.After = p.Next; p.Next == "" {
							break
						}
						if pages == 3 { // enough small pages
							q.Limit = 1000
						}
					}
					if !slices.Equal(got, want) {
						t.Fatalf("step %d, %+v: %d keys, want %d:\n%s\n%s", step, q, len(got), len(want), ids(got), ids(want))
					}
				}
			}
		})
	}
}

// checkChunks checks the invariants of the chunks: no key is lost, no chunk is empty or too large, and small chunks do not
// accumulate.
func checkChunks(t *testing.T, c *Index, size int) {
	t.Helper()
	total, chunks := 0, c.current.Load().chunks
	for i, c := range chunks {
		if n := len(c.entries); n == 0 || n > maxChunk {
			t.Errorf("chunk %d has %d keys", i, n)
		}
		total += len(c.entries)
	}
	if total != size {
		t.Errorf("%d keys, want %d", total, size)
	}
	if len(chunks) > 2+2*size/minChunk {
		t.Errorf("%d chunks for %d keys", len(chunks), size)
	}
}

// A client that reads all pages during concurrent changes sees each unchanged key exactly once.
func TestPagingDuringChanges(t *testing.T) {
	key := func(i int) *keys.Key {
		return &keys.Key{ID: fmt.Sprintf("key-%05d", i), Name: pick(rand.New(rand.NewPCG(uint64(i), 3)), "one", "two"), Created: noon.Add(time.Duration(i/3) * time.Second)}
	}
	const n = 4000
	var unchanged []*keys.Key
	c := New()
	for i := 0; i < n; i += 2 {
		unchanged = append(unchanged, key(i))
	}
	c.KeysChanged(nil, unchanged)

	stop := make(chan struct{})
	var readers, writer sync.WaitGroup
	writer.Go(func() { // adds and removes keys with odd numbers, one at a time and in bulk
		r := rand.New(rand.NewPCG(1, 4))
		current := map[int]*keys.Key{}
		for {
			select {
			case <-stop:
				return
			default:
			}
			var out, in []*keys.Key
			for range pick(r, 1, 1, 1, 500) {
				i := 1 + 2*r.IntN(n/2)
				if k := current[i]; k != nil {
					out = append(out, k)
					delete(current, i)
				} else if !slices.ContainsFunc(out, func(k *keys.Key) bool { return k.ID == key(i).ID }) {
					k := key(i)
					in = append(in, k)
					current[i] = k
				}
			}
			c.KeysChanged(out, in)
		}
	})
	for _, q := range []Query{{Limit: 100}, {Limit: 37, Text: "ONE"}, {Limit: 1000, State: keys.Allowed}} {
		readers.Go(func() {
			for range 3 {
				seen := map[string]bool{}
				last := time.Time{}
				for q := q; ; {
					p := mustPage(t, c, q)
					for _, k := range p.Keys {
						if seen[k.ID] || !last.IsZero() && k.Created.After(last) {
							t.Errorf("key %s is listed twice or in the wrong order", k.ID)
						}
						seen[k.ID], last = true, k.Created
					}
					if q.After = p.Next; q.After == "" {
						break
					}
				}
				for _, k := range unchanged {
					if (q.Text == "" || k.Name == "one") && !seen[k.ID] {
						t.Errorf("key %s is missing", k.ID)
					}
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	writer.Wait()
}

// The folded form of a substring is in the folded form of the text; otherwise a search would miss it.
func FuzzFold(f *testing.F) {
	f.Add("Straße", 2, 5)
	f.Add("\xff\xfe", 0, 1)
	f.Add("İı\u0345K", 1, 3)
	f.Fuzz(func(t *testing.T, text string, from, to int) {
		runes := []rune(text)
		if from < 0 || to > len(runes) || from > to {
			return
		}
		whole, piece := fold(string(runes)), fold(string(runes[from:to]))
		if !strings.Contains(whole, piece) {
			t.Errorf("%q is in %q, but %q is not in %q", string(runes[from:to]), text, piece, whole)
		}
		if all := fold(text); strings.IndexByte(all, endOfText) >= 0 || strings.IndexByte(all, endOfSource) >= 0 {
			t.Errorf("%q contains a separator", all)
		}
		if up := fold(strings.ToUpper(string(runes))); len(runes) == 1 && runes[0] < 0x80 && up != whole {
			t.Errorf("%q and %q are different", up, whole)
		}
	})
}
