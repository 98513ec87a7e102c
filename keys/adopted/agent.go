// Package adopted makes keys of the ones that DocsGPT itself has made, whatever database it keeps them in: which of them
// count, what they are bound to, and the snapshot that serves while the database is away.
package adopted

import (
	"github.com/docsgate/docsgate/keys"
)

// Agent is one of DocsGPT's own keys with what it stands for: an agent (0.14 and newer) or a record of api_keys (before).
type Agent struct {
	ID   string      // of the record, in canonical spelling
	Key  keys.Secret // in the spelling that is stored
	Name string

	keys.Facts
}

// Filter says which agents are adopted. The zero Filter takes all but those that DocsGPT's /api/share made for anybody who
// asked.
type Filter struct {
	Owners    []string // only of these accounts
	IDs       []string // only these records, in either case, also in the form that KeyID gives
	Published bool     // only those whose status is "published"
	Shared    bool     // also those that /api/share made; their names end in "(shared)"

	// Off are records, named as in IDs, whose own keys are refused: tokens of the gate stand for them instead.
	Off []string
}

// Left is an agent that was not adopted, and why. It is for the log and for people.
type Left struct {
	ID, Name string
	Reason   string
}

// Distinct returns ids in their order, each once, without empty ones; nil if there are none. Agents belong to users of DocsGPT,
// who can give them as many sources as they like, so it takes no longer than in proportion.
func Distinct(ids []string) []string {
	var all []string
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if id != "" && !seen[id] {
			seen[id] = true
			all = append(all, id)
		}
	}
	return all
}

// KeyID is the ID of the key that an agent becomes: "agent_" and the agent's id.
func KeyID(agentID string) string { return "agent_" + agentID }
