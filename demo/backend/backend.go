// Package backend is a small answer backend that speaks the public protocol of DocsGPT 1.1.0: the endpoints that a
// widget, an OpenAI client or a script uses, with their streams, their headers and their errors. There is no model and
// no index behind it; every answer says in one line what the backend was told, so that a person or a test sees which
// source was used:
//
//	demo answer: source=handbook (3f0d8a52-…) turns=1 asked="How do I reset it?"
//
// If a request carries members that would widen what the caller may do (llm_params and the like), their names follow
// in that line as live=…, because a real DocsGPT would have obeyed them.
//
// It is strict where DocsGPT is: a body sent in chunks is read as empty, a body of another content type is refused, a
// falsy api_key counts as absent. It keeps its conversations and the last requests in memory and writes nothing.
//
// Switches in a question ask for the ways in which an answer can go wrong; see [Options].
package backend

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultPace is a pace at which a person sees the answer being written.
const DefaultPace = 30 * time.Millisecond

// Options say what a [Backend] knows. The zero value is a backend that nobody can use: no key, no token, no source.
//
// Switches in a question change the answer to it; several may stand together, and they count in this order:
//
//	[[wait=S]]         S seconds of silence before the headers
//	[[fail=STATUS]]    that status, in the shape that DocsGPT has for it on this endpoint; quota429: the quota of the account
//	[[errorevent]]     status 200, then the error event of a model that failed (not streaming: the JSON of the same error)
//	[[plainjson]]      status 200 with a JSON error and no stream
//	[[gap=S]]          S seconds of silence after the first piece
//	[[keepalive]]      a comment line before the first piece and one after it
//	[[cut]]            the connection ends in the middle of an event
//	[[noend]]          the stream ends cleanly, but without the event that says so
//	[[words=N]]        N more words
//	[[unicode]]        characters of several bytes, raw on the wire
//	[[split]]          each event in several small writes, cut at odd places
//	[[big=N]]          one more piece, of N bytes
//	[[artifact]]       the agent makes a file in the conversation; [[artifact=elsewhere]]: DocsGPT keeps it in an object store
//
// S may be a fraction. A switch that is not understood is only text.
type Options struct {
	// Label is the word that stands in every answer. Default: demo.
	Label string
	// Keys are the agent keys, each with the ids of its sources.
	Keys map[string][]string
	// Tokens are the access tokens, each with the ids that it is confined to. An empty list: all of them.
	Tokens map[string][]string
	// Sources are the titles of the sources by id. An id is a lower-case UUID.
	Sources map[string]string
	// Open: as with AUTH_TYPE unset, a request without a credential runs as the owner, and every source is open to it.
	// Otherwise as with AUTH_TYPE=oidc: such a request is refused.
	Open bool
	// Pace is the time between two pieces of a streamed answer. Zero: none.
	Pace time.Duration
}

// Backend answers as DocsGPT 1.1.0 does. It is safe for concurrent use.
type Backend struct {
	opts     Options
	keys     map[string]string // key in lower case -> as it was given: the real one compares without case
	started  time.Time
	calls    recorder
	chats    conversations
	sessions sessions
	uploads  uploads
	open     atomic.Int64

	mu      sync.Mutex
	replays map[string][]byte // answers by agent key and Idempotency-Key
}

// New gives a backend that knows what o says. The maps are copied.
func New(o Options) *Backend {
	if o.Label == "" {
		o.Label = "demo"
	}
	o.Keys, o.Tokens, o.Sources = maps.Clone(o.Keys), maps.Clone(o.Tokens), maps.Clone(o.Sources)
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

// Reset forgets the recorded requests, the conversations, the uploads and the sessions. Streams that are open go on.
func (b *Backend) Reset() {
	b.calls.reset()
	b.chats.reset()
	b.sessions.reset()
	b.uploads.reset()
	b.mu.Lock()
	b.replays = map[string][]byte{}
	b.mu.Unlock()
}

// Calls gives the last 100 requests, the oldest first. The slices and maps in them must not be changed.
func (b *Backend) Calls() []Call { return b.calls.list() }

// OpenStreams is the number of streamed answers that are being written at this moment, silences included.
func (b *Backend) OpenStreams() int { return int(b.open.Load()) }

// ServeHTTP records the request and answers it.
func (b *Backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req, done := b.calls.record(r)
	defer done()
	setCommonHeaders(w.Header())
	if r.Method == http.MethodOptions {
		answerOptions(w, r)
		return
	}
	b.route(w, req)
}

// route picks the endpoint. It takes the decoded path and joins leading slashes, so that //stream and /%73tream are
// /stream, as in the real one; all other spellings are unknown.
func (b *Backend) route(w http.ResponseWriter, r *request) {
	if r.URL.Path == "/mcp" || r.URL.Path == "/mcp/" { // not Flask: "//mcp" is something else
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
		refuseMethod(w, endpoint)
	default:
		endpoint.serve(w, r)
	}
}

// route is one endpoint.
type route struct {
	method string
	html   bool // its framework errors are HTML pages, not JSON
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

// sourceSearch finds the id in /api/sources/<id>/search.
func sourceSearch(path string) (id string, found bool) {
	rest, found := strings.CutPrefix(path, "/api/sources/")
	if !found {
		return "", false
	}
	id, found = strings.CutSuffix(rest, "/search")
	return id, found && id != "" && !strings.Contains(id, "/")
}
