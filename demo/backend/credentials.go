package backend

import (
	"net/http"
	"slices"
	"strings"
)

// tokenPrefix is what every access token of the real one begins with.
const tokenPrefix = "dgpt_pat_"

// caller is who stands behind a request, as far as its Authorization header tells. The zero value is nobody.
type caller struct {
	token   bool     // it is an access token
	allowed []string // the sources it is confined to; empty: all
}

func (c caller) confined() bool { return len(c.allowed) > 0 }

// bearer reads the Authorization header as all endpoints but /v1 do. A bad one is answered here, also beside a good
// agent key in the body; with Open only one that claims to be an access token is.
func (b *Backend) bearer(w http.ResponseWriter, r *request) (c caller, ok bool) {
	value := strings.Join(r.Header.Values("Authorization"), ",")
	if value == "" {
		return caller{}, true
	}
	if scheme, rest, found := strings.Cut(value, " "); found && strings.EqualFold(scheme, "bearer") {
		value = strings.TrimSpace(rest)
	}
	if allowed, known := b.opts.Tokens[value]; known {
		return caller{token: true, allowed: allowed}, true
	}
	if b.opts.Open && !strings.HasPrefix(value, tokenPrefix) {
		return caller{}, true
	}
	writeJSON(w, http.StatusUnauthorized, fields{
		"error": "invalid_token", "message": "Authentication error: invalid token",
	})
	return caller{}, false
}

// agent gives the sources of an agent key. Keys are compared without case, as the real one's column does.
func (b *Backend) agent(key string) (sources []string, known bool) {
	stored, known := b.keys[strings.ToLower(key)]
	return b.opts.Keys[stored], known
}

// checkToken is what a confined access token may name in a chat. It answers a refusal itself.
func (b *Backend) checkToken(w http.ResponseWriter, c caller, body map[string]any) bool {
	if !c.confined() {
		return true
	}
	sentence := ""
	id, continued := body["conversation_id"].(string)
	switch {
	case truthy(body["api_key"]):
		sentence = "A restricted token cannot chat with an agent API key; pass agent_id"
	case truthy(body["agent_id"]):
		sentence = "This token is restricted to specific sources and cannot run agents"
	case truthy(body["workflow"]):
		sentence = "A restricted token cannot run an inline workflow"
	case !mayName(body["active_docs"], c.allowed):
		sentence = "Token is not allowed to use one of the referenced sources"
	case continued && id != "" && !b.chats.agentless(id):
		sentence = "This conversation does not belong to the agent this token may use"
	default:
		return true
	}
	writeJSON(w, http.StatusForbidden, fields{"error": "resource_not_allowed", "message": sentence, "success": false})
	return false
}

// mayName says whether every id in an active_docs, however it is wrapped, is allowed. Nothing named is allowed.
func mayName(docs any, allowed []string) bool {
	switch docs := docs.(type) {
	case nil:
		return true
	case string:
		id := strings.ToLower(strings.TrimSpace(docs))
		if strings.HasPrefix(id, "[") {
			if list, err := decodeJSON([]byte(id)); err == nil {
				return mayName(list, allowed)
			}
		}
		return id == "" || slices.Contains(allowed, id)
	case []any:
		return !slices.ContainsFunc(docs, func(item any) bool { return !mayName(item, allowed) })
	case map[string]any:
		return mayName(docs["id"], allowed)
	default:
		return false
	}
}
