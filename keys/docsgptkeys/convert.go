package docsgptkeys

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/internal/displaytext"
	"github.com/docsgate/docsgate/keys"
)

const (
	// sharedSuffix is the end of the names of agents that DocsGPT's /api/share creates. That endpoint requires no credentials.
	sharedSuffix = "(shared)"

	published    = "published"
	maxNameRunes = 200
	maxIDBytes   = 120 // with the prefix of KeyID the maximum length of a key's ID
)

// acceptedAgent is a selected agent and the digest of its key.
type acceptedAgent struct {
	agent  *Agent
	digest keys.Digest
}

// skippedAgent is a skipped agent.
type skippedAgent struct {
	agent  *Agent
	reason string
}

// partition divides all agents that have a key into selected and skipped ones, each sorted by ID. Agents without a key are skipped
// silently: they are drafts that were never published.
//
// DocsGPT's database does not allow two keys that differ only in case; if it contains such keys, they are two keys here, each with its
// own spelling. If several records have the same key (MongoDB allows that), the one with the lowest ID is used.
func partition(agents []Agent, sel *selector) (chosen []acceptedAgent, others []skippedAgent) {
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
	chosen = make([]acceptedAgent, 0, len(sorted))
	owners := make(map[keys.Digest]*Agent, len(sorted))
	for i, a := range sorted {
		reason := sel.skipReason(a)
		if reason == "" && i > 0 && a.ID == sorted[i-1].ID {
			reason = "another record has the same id"
		}
		if reason != "" {
			others = append(others, skippedAgent{a, reason})
			continue
		}
		digest := keys.DigestOf(a.Key.Reveal())
		if other, used := owners[digest]; used {
			others = append(others, skippedAgent{a, reasonDuplicateKey + other.ID})
			continue
		}
		owners[digest] = a
		chosen = append(chosen, acceptedAgent{a, digest})
	}
	return chosen, others
}

// keysOf returns the keys of agents.
func keysOf(chosen []acceptedAgent, sel *selector) []keys.Key {
	set := make([]keys.Key, len(chosen))
	for i, c := range chosen {
		set[i] = c.agent.key(c.digest, sel)
	}
	return set
}

const reasonDuplicateKey = "same key as agent "

// key returns the key of the agent.
func (a *Agent) key(digest keys.Digest, sel *selector) keys.Key {
	facts := a.AgentInfo
	k := keys.Key{
		ID: KeyID(a.ID), Name: a.displayName(), Digest: digest,
		Binding: keys.Binding{Agent: a.Key}, Facts: &facts, Hint: hintOf(a.Key.Reveal()),
	}
	restriction, usable := restrictionOf(&a.AgentInfo)
	k.Policy = restriction
	if !usable || sel.excluded[strings.ToLower(a.ID)] {
		k.State = keys.Disabled
	}
	return k
}

// minHinted is the length of the shortest key that has a hint: a UUID without hyphens, which has 122 random bits. The four characters of
// a hint reveal 16 of them.
const minHinted = 32

// hintOf returns the last four characters of a key, or "" if the rest would be too short to be a secret.
func hintOf(key string) string {
	if len(key) < minHinted {
		return ""
	}
	return key[len(key)-4:]
}

// AsSkipped returns the agent as a Skipped. Its texts are safe for logs and terminals.
func (a *Agent) AsSkipped(reason string) Skipped {
	return Skipped{ID: printable(a.ID), Name: a.displayName(), Reason: reason}
}

// displayName returns the name, safe for logs and terminals.
func (a *Agent) displayName() string {
	if name := printable(a.Name); name != "" {
		return name
	}
	return printable(a.ID)
}

// printable returns a text as one line without invisible characters.
func printable(s string) string { return displaytext.PrintableLine(s, maxNameRunes) }

// selector is a Filter prepared for lookups.
type selector struct {
	owners, ids                  map[string]bool // nil: all
	excluded                     map[string]bool
	onlyPublished, includeShared bool
}

func (f Filter) selector() *selector {
	return &selector{
		owners: setOf(f.Owners), ids: setOf(normalizeIDs(f.IDs)), excluded: setOf(normalizeIDs(f.Excluded)),
		onlyPublished: f.OnlyPublished, includeShared: f.IncludeShared,
	}
}

// normalizeIDs returns IDs of records in a normalized form, for comparison.
func normalizeIDs(list []string) []string {
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

// skipReason returns the reason why an agent with a key is skipped, or "" if it is not.
func (s *selector) skipReason(a *Agent) string {
	switch {
	case s.ids != nil && !s.ids[strings.ToLower(a.ID)]:
		return "the filter does not include its id"
	case s.owners != nil && !s.owners[a.Owner]:
		return "the filter does not include its owner"
	case s.onlyPublished && a.Status != published:
		return fmt.Sprintf("its status is %q, not %q", printable(a.Status), published)
	case !s.includeShared && strings.HasSuffix(strings.TrimSpace(a.Name), sharedSuffix):
		return "DocsGPT created it for a shared conversation, without requiring credentials; the filter does not include such agents"
	case !isValidID(a.ID):
		return "its id cannot be part of a key's id"
	case !keys.IsValidToken(a.Key.Reveal()):
		return "its key cannot be presented: it is longer than 512 characters, or is not printable ASCII"
	case keys.HasBadChecksum(a.Key.Reveal()):
		return "its key has the format of the gate's own tokens but a wrong checksum"
	default:
		return ""
	}
}

// isValidID reports whether an ID can be part of a key's ID.
func isValidID(id string) bool {
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

// same reports whether two agents are equal in every field.
func (a *Agent) same(b *Agent) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Key.Equal(b.Key) && a.Owner == b.Owner && a.Status == b.Status &&
		a.RequestsPerDay == b.RequestsPerDay && a.TokensPerDay == b.TokensPerDay && a.RestrictOrigins == b.RestrictOrigins &&
		slices.Equal(a.Sources, b.Sources) && slices.Equal(a.Origins, b.Origins)
}
