package adopted

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/docsgate/docsgate/keys"
)

const (
	// sharedSuffix ends the names of the agents that DocsGPT's /api/share makes. It asks for no credential.
	sharedSuffix = "(shared)"

	published    = "published"
	maxNameRunes = 200
	maxIDBytes   = 120 // with the prefix of KeyID as long as an ID of a key may be
)

// Keys makes keys of agents, bound to the agents themselves: the token that clients present is the agent's own key, in
// exactly the spelling that is stored, and it is what goes upstream.
//
// The keys are sorted by ID. Agents without a key are left out silently: they are drafts that were never published. left
// names the others that were left out, sorted by ID. DocsGPT's database does not let two keys differ in case only; where it
// does, they are two keys here, each with its own spelling. Of several records with the same key (MongoDB allows that) the
// one with the lowest ID counts.
func Keys(agents []Agent, f Filter) (set []keys.Key, left []Left) {
	sel := f.selector()
	chosen, others := choose(agents, sel)
	for _, o := range others {
		left = append(left, o.agent.Left(o.reason))
	}
	return keysOf(chosen, sel), left
}

// choice is an agent that is adopted, and the digest of its key.
type choice struct {
	agent  *Agent
	digest keys.Digest
}

// refusal is an agent that is not.
type refusal struct {
	agent  *Agent
	reason string
}

// choose looks at all agents with a key, sorted by ID.
func choose(agents []Agent, sel *selector) (chosen []choice, others []refusal) {
	sorted := make([]*Agent, 0, len(agents))
	for i := range agents {
		if !agents[i].Key.IsZero() {
			sorted = append(sorted, &agents[i])
		}
	}
	byID := func(a, b *Agent) int { return cmp.Compare(a.ID, b.ID) }
	if !slices.IsSortedFunc(sorted, byID) {
		slices.SortStableFunc(sorted, byID)
	}
	chosen = make([]choice, 0, len(sorted))
	owners := make(map[keys.Digest]*Agent, len(sorted))
	for i, a := range sorted {
		reason := sel.leaves(a)
		if reason == "" && i > 0 && a.ID == sorted[i-1].ID {
			reason = "another record has the same id"
		}
		if reason != "" {
			others = append(others, refusal{a, reason})
			continue
		}
		digest := keys.DigestOf(a.Key.Reveal())
		if other, taken := owners[digest]; taken {
			others = append(others, refusal{a, repeats + other.ID})
			continue
		}
		owners[digest] = a
		chosen = append(chosen, choice{a, digest})
	}
	return chosen, others
}

// keysOf returns the keys that agents become.
func keysOf(chosen []choice, sel *selector) []keys.Key {
	set := make([]keys.Key, len(chosen))
	for i, c := range chosen {
		set[i] = c.agent.key(c.digest, sel)
	}
	return set
}

const repeats = "it has the same key as agent "

// key is the key that an agent becomes.
func (a *Agent) key(digest keys.Digest, sel *selector) keys.Key {
	facts := a.Facts
	k := keys.Key{
		ID: KeyID(a.ID), Name: a.displayName(), Digest: digest,
		Binding: keys.Binding{Agent: a.Key}, Facts: &facts,
	}
	if sel.off[strings.ToLower(a.ID)] {
		k.State = keys.Disabled
	}
	return k
}

// Left says that the agent was not adopted, in a form that cannot disturb a log or a terminal.
func (a *Agent) Left(reason string) Left {
	return Left{ID: printable(a.ID), Name: a.displayName(), Reason: reason}
}

// displayName is the name in a form that cannot disturb a log or a terminal.
func (a *Agent) displayName() string {
	if name := printable(a.Name); name != "" {
		return name
	}
	return printable(a.ID)
}

// printable takes out of a text what is not meant to be seen, and the middle of the blanks, and cuts it off.
func printable(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return -1
		default:
			return r
		}
	}, s)), " ")
	if runes := []rune(s); len(runes) > maxNameRunes {
		s = string(runes[:maxNameRunes-1]) + "…"
	}
	return s
}

// selector is a Filter that looks things up.
type selector struct {
	owners, ids       map[string]bool // nil: all
	off               map[string]bool
	published, shared bool
}

func (f Filter) selector() *selector {
	return &selector{
		owners: setOf(f.Owners), ids: setOf(plainIDs(f.IDs)), off: setOf(plainIDs(f.Off)),
		published: f.Published, shared: f.Shared,
	}
}

// plainIDs are ids of records, for comparison.
func plainIDs(list []string) []string {
	ids := make([]string, len(list))
	for i, id := range list {
		ids[i] = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(id)), KeyID(""))
	}
	return ids
}

func setOf(list []string) map[string]bool {
	if len(list) == 0 {
		return nil
	}
	set := make(map[string]bool, len(list))
	for _, s := range list {
		set[s] = true
	}
	return set
}

// leaves says why an agent with a key is left out; empty: it is not.
func (s *selector) leaves(a *Agent) string {
	switch {
	case s.ids != nil && !s.ids[strings.ToLower(a.ID)]:
		return "the filter does not name its id"
	case s.owners != nil && !s.owners[a.Owner]:
		return "the filter does not name its owner"
	case s.published && a.Status != published:
		return fmt.Sprintf("its status is %q, not %q", printable(a.Status), published)
	case !s.shared && strings.HasSuffix(strings.TrimSpace(a.Name), sharedSuffix):
		return "DocsGPT made it for a shared conversation, for anybody who asked; the filter does not ask for such agents"
	case !goodID(a.ID):
		return "its id is not one that a key can have"
	case !keys.WellFormed(a.Key.Reveal()):
		return "its key cannot be presented: it is longer than 512 characters, or has others than printable ASCII"
	case keys.Mistyped(a.Key.Reveal()):
		return "its key looks like one of the gate's own with a wrong checksum"
	default:
		return ""
	}
}

// goodID tells whether an id can be part of a key's ID.
func goodID(id string) bool {
	if id == "" || len(id) > maxIDBytes {
		return false
	}
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// same tells whether two agents mean the same.
func (a *Agent) same(b *Agent) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Key.Equal(b.Key) && a.Owner == b.Owner && a.Status == b.Status &&
		a.RequestsPerDay == b.RequestsPerDay && a.TokensPerDay == b.TokensPerDay && a.OnlyOrigins == b.OnlyOrigins &&
		slices.Equal(a.Sources, b.Sources) && slices.Equal(a.Origins, b.Origins)
}
