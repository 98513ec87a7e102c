// Package docsgptkeys turns DocsGPT's own agent keys into keys of the gate, whatever database DocsGPT uses. It selects the agents,
// converts them, and caches them in memory and in an encrypted snapshot for outages of the database.
package docsgptkeys

import (
	"github.com/docsgate/docsgate/keys"
)

// Agent is one of DocsGPT's own keys and what it belongs to: an agent (0.14 and later) or a record of api_keys (before).
type Agent struct {
	ID   string      // ID of the record, in canonical form
	Key  keys.Secret // exactly as stored
	Name string

	keys.AgentInfo
}

// Filter selects the agents that become keys. The zero Filter selects all agents except those that DocsGPT's /api/share
// created, which requires no credentials.
type Filter struct {
	Owners        []string // only agents of these accounts
	IDs           []string // only these records, case-insensitive, with or without the prefix of KeyID
	OnlyPublished bool     // only agents whose status is "published"
	IncludeShared bool     // also agents that /api/share created; their names end in "(shared)"

	// Excluded are records, specified as in IDs, whose own keys are disabled: tokens of the gate replace them.
	Excluded []string
}

// Skipped is an agent that was skipped, and the reason, for logs and users.
type Skipped struct {
	ID, Name string
	Reason   string
}

// Dedup returns ids in their order without duplicates and empty ones; nil if none are left. It takes linear time, since
// users of DocsGPT can give an agent any number of sources.
func Dedup(ids []string) []string {
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

// KeyID returns the ID of an agent's key: "agent_" and the agent's ID.
func KeyID(agentID string) string { return "agent_" + agentID }
