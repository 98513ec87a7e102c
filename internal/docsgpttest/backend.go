// Package docsgpttest is a fake DocsGPT that speaks the public protocol of DocsGPT 1.1.0: the endpoints that a widget, an OpenAI
// client or a script uses, with their streams, headers and errors. It has no model and no index. The first line of every answer
// says what the backend received, so that a person or a test sees which source was used:
//
//	demo answer: source=handbook (3f0d8a52-…) turns=1 asked="How do I reset it?"
//
// If a request contains privileged fields such as llm_params, the line lists them as live=…, because a real DocsGPT would have
// obeyed them.
//
// It is as strict as DocsGPT: a body with chunked transfer encoding is read as empty, a body of another content type is
// rejected, a falsy api_key is treated as absent. It keeps conversations and the last requests in memory and writes no files.
//
// Directives in a question request faults in the response; see [Options].
package docsgpttest

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultDelay is a delay between two pieces that makes streaming visible.
const DefaultDelay = 30 * time.Millisecond

// Options configure a [Backend]. The zero value is a backend that rejects every request: it has no key, token or source.
//
// Directives in a question change the response. They can be combined, and are applied in this order:
//
//	[[wait=S]]         S seconds of silence before the headers
//	[[fail=STATUS]]    that status, in the error format of this endpoint; quota429: the quota of the account is exhausted
//	[[errorevent]]     status 200, then the error event of a failed model (without streaming: the same error as JSON)
//	[[plainjson]]      status 200 with a JSON error instead of a stream
//	[[idgap=S]]        S seconds of silence after the headers, before the ID of the message
//	[[gap=S]]          S seconds of silence after the first piece
//	[[tool=NAME]]      the model calls that tool before it answers, with [[gap=S]] before the result; [[latetool=NAME]]: after some text
//	[[keepalive]]      a comment line before and after the first piece
//	[[cut]]            the connection is aborted in the middle of an event
//	[[noend]]          the stream ends regularly, but without the end event
//	[[words=N]]        N more words
//	[[unicode]]        multibyte characters, not escaped
//	[[split]]          each event in several small writes
//	[[big=N]]          one more piece of N bytes
//	[[artifact]]       the agent creates a file in the conversation; [[artifact=external]]: DocsGPT keeps it in an object store
//
// S may be a fraction. An unknown directive is ordinary text.
type Options struct {
	// Label is the first word of every answer. Default: demo.
	Label string
	// Keys are the agent keys, each with the ids of its sources.
	Keys map[string][]string
	// Tokens are the access tokens, each with the ids of the sources that it is restricted to. An empty list: all of them.
	Tokens map[string][]string
	// Sessions are tokens of the owner's sessions, which may use every source.
	Sessions []string
	// Sources are the titles of the sources by id. An id is a lower-case UUID.
	Sources map[string]string
	// Answers are the texts of the answers to these questions, in place of the text that says what the backend received.
	Answers map[string]string
	// Open: as with AUTH_TYPE unset, a request without a credential runs as the owner and may use every source. Otherwise, as
	// with AUTH_TYPE=oidc, it is rejected.
	Open bool
	// Delay is the time between two pieces of a streamed answer. Zero: none.
	Delay time.Duration
}

// Backend responds as DocsGPT 1.1.0 does. It is safe for concurrent use.
type Backend struct {
	opts     Options
	keys     map[string]string // lower-case key -> key in opts: DocsGPT compares keys case-insensitively
	started  time.Time
	calls    recorder
	chats    conversations
	sessions sessions
	uploads  uploads
	messages messages
	streams  atomic.Int64

	mu      sync.Mutex
	replays map[string][]byte // responses by agent key and Idempotency-Key
}

// New returns a backend. The maps of o are copied.
func New(o Options) *Backend {
	if o.Label == "" {
		o.Label = "demo"
	}
	o.Keys, o.Tokens, o.Sources, o.Answers = maps.Clone(o.Keys), maps.Clone(o.Tokens), maps.Clone(o.Sources), maps.Clone(o.Answers)
	b := &Backend{opts: o, keys: make(map[string]string, len(o.Keys)), started: time.Now()}
	for key := range o.Keys {
		b.keys[strings.ToLower(key)] = key
	}
	b.chats.reset()
	b.sessions.reset()
	b.uploads.reset()
	b.replays = map[string][]byte{}
	return b
}

// Reset deletes the recorded requests, the conversations, the messages, the uploads and the sessions. Open answer streams continue.
func (b *Backend) Reset() {
	b.calls.reset()
	b.chats.reset()
	b.sessions.reset()
	b.uploads.reset()
	b.messages.reset()
	b.mu.Lock()
	b.replays = map[string][]byte{}
	b.mu.Unlock()
}

// Calls returns the last 100 requests, oldest first. The slices and maps in them must not be modified.
func (b *Backend) Calls() []Call { return b.calls.list() }

// OpenStreams returns the number of streams in flight, including those that are silent.
func (b *Backend) OpenStreams() int { return int(b.streams.Load()) }

// ServeHTTP implements http.Handler. It records the request; see Cancellations for those that cancel answers.
func (b *Backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if id, found := messageToCancel(r.URL.Path); found && r.Method == http.MethodPost {
		setCommonHeaders(w.Header())
		b.cancel(w, &request{Request: r}, id)
		return
	}
	req, done := b.calls.record(r)
	defer done()
	setCommonHeaders(w.Header())
	if r.Method == http.MethodOptions {
		serveOptions(w, r)
		return
	}
	b.route(w, req)
}

// route selects the endpoint. As in DocsGPT it matches the decoded path with leading slashes merged, so //stream and /%73tream
// are /stream. All other spellings are unknown paths.
func (b *Backend) route(w http.ResponseWriter, r *request) {
	if r.URL.Path == "/mcp" || r.URL.Path == "/mcp/" { // not served by Flask, which would merge the slashes of //mcp
		b.mcp(w, r)
		return
	}
	path := "/" + strings.TrimLeft(r.URL.Path, "/")
	if strings.HasPrefix(path, "/api//") {
		w.Header().Set("Location", "http://"+r.Host+"/api/"+strings.TrimLeft(path[len("/api"):], "/"))
		writeHTML(w, http.StatusPermanentRedirect, "Redirecting...", "You should be redirected automatically.")
		return
	}
	endpoint := b.endpoints()[path]
	if endpoint.serve == nil {
		if id, found := sourceSearch(path); found {
			endpoint = route{http.MethodPost, false, func(w http.ResponseWriter, r *request) { b.searchSource(w, r, id) }}
		}
	}
	if id, rest, found := artifactPath(path); found {
		endpoint = route{http.MethodGet, false, func(w http.ResponseWriter, r *request) { b.artifact(w, r, id, rest) }}
	}
	switch {
	case endpoint.serve == nil:
		writeHTML(w, http.StatusNotFound, "Not Found", "The requested URL was not found on the server. If you entered "+
			"the URL manually please check your spelling and try again.")
	case r.Method != endpoint.method && (endpoint.method != http.MethodGet || r.Method != http.MethodHead):
		writeMethodNotAllowed(w, endpoint)
	default:
		endpoint.serve(w, r)
	}
}

// route is one endpoint.
type route struct {
	method string
	html   bool // errors of the framework are HTML pages, not JSON
	serve  func(http.ResponseWriter, *request)
}

func (b *Backend) endpoints() map[string]route {
	return map[string]route{
		"/stream":              {http.MethodPost, false, b.stream},
		"/api/answer":          {http.MethodPost, false, b.answer},
		"/api/search":          {http.MethodPost, false, b.search},
		"/api/feedback":        {http.MethodPost, false, b.feedback},
		"/v1/chat/completions": {http.MethodPost, true, b.completions},
		"/v1/models":           {http.MethodGet, true, b.models},
		"/api/health":          {http.MethodGet, true, b.health},
		"/api/sources":         {http.MethodGet, false, b.listSources},

		"/api/store_attachment": {http.MethodPost, false, b.storeAttachment},
		"/api/task_status":      {http.MethodGet, false, b.taskStatus},
		"/api/artifacts":        {http.MethodGet, false, b.listArtifacts},
		"/api/stt":              {http.MethodPost, false, b.stt},
		"/api/stt/live/start":   {http.MethodPost, false, b.sttStart},
		"/api/stt/live/chunk":   {http.MethodPost, false, b.sttChunk},
		"/api/stt/live/finish":  {http.MethodPost, false, b.sttFinish},
		"/api/tts":              {http.MethodPost, false, b.tts},
	}
}

func (b *Backend) health(w http.ResponseWriter, r *request) {
	if _, ok := b.bearer(w, r); ok {
		writeJSON(w, http.StatusOK, fields{"status": "ok"})
	}
}

// sourceSearch returns the id in /api/sources/<id>/search.
func sourceSearch(path string) (id string, found bool) {
	rest, found := strings.CutPrefix(path, "/api/sources/")
	if !found {
		return "", false
	}
	id, found = strings.CutSuffix(rest, "/search")
	return id, found && id != "" && !strings.Contains(id, "/")
}
