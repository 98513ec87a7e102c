package docsgpttest

import (
	"net/http"
	"strconv"
	"strings"
)

// artifact is a file that an agent created in a conversation.
type artifact struct {
	id, agent, conversation string
	external                bool // its bytes are in an object store
	versions                []string
}

// makeArtifact implements the directive [[artifact]].
func (b *Backend) makeArtifact(c chat, key string) {
	if _, known := b.agent(key); !known || !c.persisted() {
		return
	}
	b.uploads.mu.Lock()
	defer b.uploads.mu.Unlock()
	a := &artifact{
		id: newUUID(), agent: strings.ToLower(key), conversation: c.id,
		external: strings.Contains(c.asked, "[[artifact=external]]"),
		versions: []string{"the first version\n", "the second version\n"},
	}
	b.uploads.artifacts[a.id] = a
}

// artifactCaller returns the agent key of a request in lower case: that in the header, else that in the query. It rejects
// access tokens with an error response.
func (b *Backend) artifactCaller(w http.ResponseWriter, r *request) (key string, ok bool) {
	if scheme, value, found := strings.Cut(r.Header.Get("Authorization"), " "); found && strings.EqualFold(scheme, "bearer") {
		if _, known := b.agent(value); known {
			return strings.ToLower(value), true
		}
	}
	c, ok := b.bearer(w, r)
	if ok && c.token {
		writeJSON(w, http.StatusForbidden, fields{
			"error": "not_available_to_tokens", "success": false,
			"message": "This endpoint is not available to personal access tokens",
		})
		return "", false
	}
	key = r.URL.Query().Get("api_key")
	if _, known := b.agent(key); !known {
		key = ""
	}
	return strings.ToLower(key), ok
}

// listArtifacts is GET /api/artifacts.
func (b *Backend) listArtifacts(w http.ResponseWriter, r *request) {
	key, ok := b.artifactCaller(w, r)
	conversation := r.URL.Query().Get("conversation_id")
	switch {
	case !ok:
		return
	case key == "":
		writeJSON(w, http.StatusUnauthorized, fields{"success": false, "message": "Authentication required"})
		return
	case conversation == "":
		writeJSON(w, http.StatusForbidden, fields{"success": false, "message": "Forbidden"})
		return
	}
	b.uploads.mu.Lock()
	list := []any{}
	for _, a := range b.uploads.artifacts {
		if a.conversation == conversation && a.agent == key {
			list = append(list, a.summary())
		}
	}
	b.uploads.mu.Unlock()
	writeJSON(w, http.StatusOK, fields{"success": true, "artifacts": list})
}

func (a *artifact) summary() fields {
	return fields{
		"id": a.id, "conversation_id": a.conversation, "kind": "document", "title": "notes", "filename": "notes.txt",
		"mime_type": "text/plain", "current_version": len(a.versions),
	}
}

// artifactPath splits a path below /api/artifacts/ into the id and the rest.
func artifactPath(path string) (id, rest string, found bool) {
	path, found = strings.CutPrefix(path, "/api/artifacts/")
	id, rest, _ = strings.Cut(path, "/")
	return id, rest, found && len(id) == len("00000000-0000-0000-0000-000000000000")
}

// artifact is GET /api/artifacts/<id> and the paths below it.
func (b *Backend) artifact(w http.ResponseWriter, r *request, id, rest string) {
	key, ok := b.artifactCaller(w, r)
	if !ok {
		return
	}
	b.uploads.mu.Lock()
	a := b.uploads.artifacts[id]
	b.uploads.mu.Unlock()
	number, isVersion := strings.CutPrefix(rest, "versions/")
	switch {
	case a == nil:
		writeJSON(w, http.StatusNotFound, fields{"success": false, "message": "Artifact not found"})
	case a.agent != key || a.conversation != r.URL.Query().Get("conversation_id"):
		writeJSON(w, http.StatusForbidden, fields{"success": false, "message": "Forbidden"})
	case rest == "":
		writeJSON(w, http.StatusOK, fields{"success": true, "artifact": a.summary()})
	case isVersion:
		if n, text := a.version(number); text != "" {
			writeJSON(w, http.StatusOK, fields{"success": true, "version": fields{"version": n, "filename": "notes.txt"}})
			return
		}
		writeJSON(w, http.StatusNotFound, fields{"success": false, "message": "Version not found"})
	case rest == "download":
		b.download(w, r, a)
	default:
		writeHTML(w, http.StatusNotFound, "Not Found", "The requested URL was not found on the server.")
	}
}

func (a *artifact) version(number string) (n int, text string) {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > len(a.versions) {
		return 0, ""
	}
	return n, a.versions[n-1]
}

func (b *Backend) download(w http.ResponseWriter, r *request, a *artifact) {
	number := r.URL.Query().Get("version")
	if number == "" {
		number = strconv.Itoa(len(a.versions))
	}
	const store = "http://store.internal:9000/bucket/notes.txt?X-Amz-Signature=canary-signature"
	switch _, text := a.version(number); {
	case a.external && strings.Contains(r.Header.Get("Accept"), "application/json"):
		writeBody(w, http.StatusOK, "application/vnd.docsgpt.artifact-url+json",
			compact.dumps(fields{"success": true, "url": store}))
	case a.external:
		w.Header().Set("Location", store)
		w.WriteHeader(http.StatusFound)
	case text == "":
		writeJSON(w, http.StatusNotFound, fields{"success": false, "message": "Version not found"})
	default:
		w.Header().Set("Content-Disposition", `attachment; filename="notes.txt"`)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(text))
	}
}
