package docsgpttest

import (
	"net/http"
	"slices"
	"strings"
	"sync"
)

// messages stores the messages of streamed answers. As in DocsGPT, an answer continues when its client disconnects: it is running
// until it is canceled. The zero value is ready to use.
type messages struct {
	mu            sync.Mutex
	running       map[string]bool // by id; false: the answer has ended
	cancellations []Cancellation
}

// Cancellation is a recorded request to cancel an answer.
type Cancellation struct {
	Message       string
	Authorization string
	Status        int // of the response
}

func (m *messages) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running, m.cancellations = nil, nil
}

func (m *messages) set(id string, running bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running == nil {
		m.running = map[string]bool{}
	}
	m.running[id] = running
}

// cancel ends a running answer. known is false if there is no such message.
func (m *messages) cancel(id string) (running, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	running, known = m.running[id]
	if known {
		m.running[id] = false
	}
	return running, known
}

func (m *messages) record(c Cancellation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cancellations = append(m.cancellations, c)
}

// Running returns the ids of answers that have neither ended nor been canceled, including those whose clients have disconnected.
func (b *Backend) Running() []string {
	b.messages.mu.Lock()
	defer b.messages.mu.Unlock()
	var ids []string
	for id, running := range b.messages.running {
		if running {
			ids = append(ids, id)
		}
	}
	return ids
}

// Cancellations returns the requests to cancel answers, oldest first. They are not among the [Backend.Calls].
func (b *Backend) Cancellations() []Cancellation {
	b.messages.mu.Lock()
	defer b.messages.mu.Unlock()
	return slices.Clone(b.messages.cancellations)
}

// messageToCancel returns the id in /api/messages/<id>/cancel.
func messageToCancel(path string) (id string, found bool) {
	rest, found := strings.CutPrefix(path, "/api/messages/")
	if !found {
		return "", false
	}
	id, found = strings.CutSuffix(rest, "/cancel")
	return id, found && id != "" && !strings.Contains(id, "/")
}

// cancel is POST /api/messages/<id>/cancel. Access tokens must not use it, and agent keys are unknown there.
func (b *Backend) cancel(w http.ResponseWriter, r *request, id string) {
	rec := &statusRecorder{ResponseWriter: w}
	defer func() {
		b.messages.record(Cancellation{Message: id, Authorization: r.Header.Get("Authorization"), Status: rec.status})
	}()
	c, ok := b.bearer(rec, r)
	if !ok {
		return
	}
	fail := func(status int, message string) {
		writeJSON(rec, status, fields{"message": message, "success": false})
	}
	switch {
	case c.token && !c.session:
		writeJSON(rec, http.StatusForbidden, fields{
			"error": "not_available_to_tokens", "message": "This endpoint cannot be called with a personal access token", "success": false,
		})
		return
	case !c.session && !b.opts.Open:
		fail(http.StatusUnauthorized, "Unauthorized")
		return
	}
	switch running, known := b.messages.cancel(id); {
	case !known:
		fail(http.StatusNotFound, "Message not found")
	case !running:
		fail(http.StatusConflict, "The answer is not running")
	default:
		writeJSON(rec, http.StatusAccepted, fields{"success": true})
	}
}

// statusRecorder records the status of a response.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}
