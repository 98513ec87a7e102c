package docsgpt

import (
	"bytes"
	"mime"
	"strings"
)

// Streams reports whether the body asks for a stream. [Body.Parse] must have been called.
func (b *Body) Streams() bool { return b.streams }

// HasEnd reports whether every complete stream of the endpoint ends with a known event: "end" or "error", or for OpenAI
// clients "[DONE]" or an error.
func (e *Endpoint) HasEnd() bool { return e.Relay != RelayVerbatim }

// Content types of DocsGPT's responses.
const (
	typeJSON   = "application/json"
	typeEvents = "text/event-stream"
)

// ExpectsType reports whether a successful response of the endpoint may have the content type: JSON, a stream of events, or
// any type for a download. A response without a content type is not expected to have a body.
func (e *Endpoint) ExpectsType(contentType string) bool {
	if e.Download || contentType == "" {
		return true
	}
	media := strings.TrimSuffix(contentType, "; charset=utf-8")
	if media != typeJSON && media != typeEvents { // which DocsGPT never sends
		var err error
		if media, _, err = mime.ParseMediaType(contentType); err != nil {
			return false
		}
	}
	switch media {
	case typeJSON:
		return e.Relay != RelayEvents
	case typeEvents:
		return e.Relay != RelayVerbatim || e.ErrorFormat == FormatRPC
	}
	return false
}

// doneData is the data of the event that ends a stream for OpenAI clients.
var doneData = []byte("[DONE]")

// isOpenAIEnd reports whether an event ends a stream for OpenAI clients: "[DONE]", or an error.
func isOpenAIEnd(event []byte) bool {
	if !bytes.Contains(event, doneData) && !bytes.Contains(event, []byte(`"error"`)) {
		return false
	}
	for len(event) > 0 {
		var line []byte
		line, event = cutLine(event)
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
			continue
		}
		data = bytes.TrimSpace(data)
		if bytes.Equal(data, doneData) {
			return true
		}
		if bytes.HasPrefix(data, []byte("{")) && readError(data) != (upstreamError{}) {
			return true
		}
	}
	return false
}

// EndPending completes a last event without its blank line, if it is the one that ends the stream, and returns it. Some
// intermediaries remove trailing white space.
func (f *SSEFilter) EndPending() []byte {
	line := strings.TrimSpace(string(f.pending))
	if !f.Verbatim || !f.DetectEnd || line != "data: [DONE]" && line != "data:[DONE]" {
		return nil
	}
	f.ended, f.pending = true, f.pending[:0]
	return []byte("data: [DONE]\n\n")
}

// Commented reports whether comments, such as keepalives, were dropped since the last call.
func (f *SSEFilter) Commented() bool {
	commented := f.commented
	f.commented = false
	return commented
}
