package docsgpttest

import (
	"net/http"
	"slices"
	"strings"
)

// tokenPrefix is the prefix of DocsGPT's access tokens.
const tokenPrefix = "dgpt_pat_"

// caller is the sender of a request according to its Authorization header. The zero value is an anonymous caller.
type caller struct {
	token   bool     // it has an access token, or a session
	session bool     // it has a session
	allowed []string // the sources that the token is restricted to; empty: all
}

func (c caller) scoped() bool { return len(c.allowed) > 0 }

// bearer parses the Authorization header as all endpoints but /v1 do. If it is invalid, bearer writes the error response and
// returns false, even if the body contains a valid agent key. With Open only a header with the prefix of access tokens can be
// invalid.
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
	if slices.Contains(b.opts.Sessions, value) {
		return caller{token: true, session: true}, true
	}
	if b.opts.Open && !strings.HasPrefix(value, tokenPrefix) {
		return caller{}, true
	}
	writeJSON(w, http.StatusUnauthorized, fields{
		"error": "invalid_token", "message": "Authentication error: invalid token",
	})
	return caller{}, false
}

// agent returns the sources of an agent key. Keys are compared case-insensitively, as in DocsGPT's database.
func (b *Backend) agent(key string) (sources []string, known bool) {
	stored, known := b.keys[strings.ToLower(key)]
	return b.opts.Keys[stored], known
}

// checkToken reports whether the access token of c may send this chat. If not, it writes the error response.
func (b *Backend) checkToken(w http.ResponseWriter, c caller, body map[string]any) bool {
	if !c.scoped() {
		return true
	}
	message := ""
	id, continued := body["conversation_id"].(string)
	switch {
	case truthy(body["api_key"]):
		message = "A restricted token cannot chat with an agent API key; pass agent_id"
	case truthy(body["agent_id"]):
		message = "This token is restricted to specific sources and cannot run agents"
	case truthy(body["workflow"]):
		message = "A restricted token cannot run an inline workflow"
	case !mayReference(body["active_docs"], c.allowed):
		message = "Token is not allowed to use one of the referenced sources"
	case continued && id != "" && !b.chats.agentless(id):
		message = "This conversation does not belong to the agent this token may use"
	default:
		return true
	}
	writeJSON(w, http.StatusForbidden, fields{"error": "resource_not_allowed", "message": message, "success": false})
	return false
}

// mayReference reports whether every id in a value of active_docs, in any nesting, is allowed. An empty value is allowed.
func mayReference(docs any, allowed []string) bool {
	switch docs := docs.(type) {
	case nil:
		return true
	case string:
		id := strings.ToLower(strings.TrimSpace(docs))
		if strings.HasPrefix(id, "[") {
			if list, err := decodeJSON([]byte(id)); err == nil {
				return mayReference(list, allowed)
			}
		}
		return id == "" || slices.Contains(allowed, id)
	case []any:
		return !slices.ContainsFunc(docs, func(item any) bool { return !mayReference(item, allowed) })
	case map[string]any:
		return mayReference(docs["id"], allowed)
	default:
		return false
	}
}
