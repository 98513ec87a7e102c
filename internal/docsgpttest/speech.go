package docsgpttest

import (
	"encoding/base64"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

// transcript is a live transcription.
type transcript struct {
	pieces []string
}

var audioExtensions = []string{".aac", ".flac", ".m4a", ".mp3", ".ogg", ".wav", ".webm"}

// speechCaller is formCaller for speech endpoints, which reject access tokens.
func (b *Backend) speechCaller(w http.ResponseWriter, r *request, f form) bool {
	if strings.Contains(r.Header.Get("Authorization"), tokenPrefix) {
		writeJSON(w, http.StatusForbidden, fields{
			"error": "not_available_to_tokens", "success": false,
			"message": "This endpoint is not available to personal access tokens",
		})
		return false
	}
	user, _, ok := b.formCaller(w, r, f)
	return ok && !rejectAnonymous(w, user)
}

// recording returns the name of a form's audio file. If there is none, it writes the error response and returns false.
func recording(w http.ResponseWriter, f form) (name string, ok bool) {
	message := ""
	switch {
	case len(f.files) == 0 || f.files[0].name == "":
		message = "Missing file"
	case !slices.Contains(audioExtensions, strings.ToLower(path.Ext(f.files[0].name))):
		message = "Unsupported audio format"
	case !strings.HasPrefix(f.files[0].contentType, "audio/") && f.files[0].contentType != "application/octet-stream":
		message = "Unsupported audio MIME type"
	default:
		return f.files[0].name, true
	}
	writeJSON(w, http.StatusBadRequest, fields{"success": false, "message": message})
	return "", false
}

// stt is POST /api/stt.
func (b *Backend) stt(w http.ResponseWriter, r *request) {
	f := r.form()
	if !b.speechCaller(w, r, f) {
		return
	}
	if name, ok := recording(w, f); ok {
		writeJSON(w, http.StatusOK, fields{"success": true, "text": "heard " + name, "language": f.values.Get("language")})
	}
}

// sttStart is POST /api/stt/live/start.
func (b *Backend) sttStart(w http.ResponseWriter, r *request) {
	if !b.speechCaller(w, r, r.form()) {
		return
	}
	id := newUUID()
	b.uploads.mu.Lock()
	b.uploads.transcripts[id] = &transcript{}
	b.uploads.mu.Unlock()
	writeJSON(w, http.StatusOK, fields{"success": true, "session_id": id, "transcript_text": ""})
}

// sttChunk is POST /api/stt/live/chunk.
func (b *Backend) sttChunk(w http.ResponseWriter, r *request) {
	f := r.form()
	if !b.speechCaller(w, r, f) {
		return
	}
	id := strings.TrimSpace(f.values.Get("session_id"))
	b.uploads.mu.Lock()
	defer b.uploads.mu.Unlock()
	t := b.uploads.transcripts[id]
	if t == nil {
		writeJSON(w, http.StatusNotFound, fields{"success": false, "message": "Live transcription session not found"})
		return
	}
	index, err := strconv.Atoi(f.values.Get("chunk_index"))
	if err != nil {
		writeJSON(w, http.StatusBadRequest, fields{"success": false, "message": "Invalid chunk_index"})
		return
	}
	name, ok := recording(w, f)
	switch {
	case !ok:
	case index < len(t.pieces):
		writeJSON(w, http.StatusConflict, fields{"success": false, "message": "Invalid live transcription chunk"})
	default:
		t.pieces = append(t.pieces, "heard "+name)
		writeJSON(w, http.StatusOK, fields{
			"success": true, "session_id": id, "chunk_index": index,
			"transcript_text": strings.Join(t.pieces, " "),
		})
	}
}

// sttFinish is POST /api/stt/live/finish.
func (b *Backend) sttFinish(w http.ResponseWriter, r *request) {
	if !b.speechCaller(w, r, r.form()) {
		return
	}
	value, _ := decodeJSON(r.body)
	body, _ := value.(map[string]any)
	id, _ := body["session_id"].(string)
	b.uploads.mu.Lock()
	t := b.uploads.transcripts[id]
	delete(b.uploads.transcripts, id)
	b.uploads.mu.Unlock()
	if t == nil {
		writeJSON(w, http.StatusNotFound, fields{"success": false, "message": "Live transcription session not found"})
		return
	}
	writeJSON(w, http.StatusOK, fields{"success": true, "session_id": id, "text": strings.Join(t.pieces, " ")})
}

// tts is POST /api/tts.
func (b *Backend) tts(w http.ResponseWriter, r *request) {
	if !b.speechCaller(w, r, r.form()) {
		return
	}
	value, _ := decodeJSON(r.body)
	body, _ := value.(map[string]any)
	spoken, _ := body["text"].(string)
	if strings.TrimSpace(spoken) == "" || !isJSON(r.Header.Values("Content-Type")) {
		writeJSON(w, http.StatusBadRequest, fields{"success": false, "message": "Text is required"})
		return
	}
	writeJSON(w, http.StatusOK, fields{
		"success": true, "audio_base64": base64.StdEncoding.EncodeToString([]byte("spoken: " + spoken)), "lang": "en",
	})
}
