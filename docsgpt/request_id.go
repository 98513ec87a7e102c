package docsgpt

import "github.com/go-json-experiment/json"

// maxRequestID is the largest length of a request ID that is believed. DocsGPT's are UUIDs.
const maxRequestID = 64

// RequestID returns the ID under which DocsGPT records what the answer of a stream costs, or "" if the stream has not named it.
// FindRequestID must be set. DocsGPT names it in the first event, unless the answer is not stored.
func (f *SSEFilter) RequestID() string { return f.requestID }

// setRequestID reads the ID from an event "message_id".
func (f *SSEFilter) setRequestID(event []byte) {
	if !f.FindRequestID {
		return
	}
	var fields struct {
		RequestID string `json:"request_id"`
	}
	if json.Unmarshal(event, &fields) == nil && len(fields.RequestID) <= maxRequestID {
		f.requestID = fields.RequestID
	}
}
