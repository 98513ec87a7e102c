package docsgpt

// ConversationIDs rewrites the IDs of conversations before clients get them.
type ConversationIDs interface {
	// AppendConversationID appends what the client gets instead of id, which needs no escaping in JSON. It reports false, and appends
	// nothing, if the ID is not rewritten.
	AppendConversationID(dst []byte, id string) (out []byte, ok bool)
}

// ConversationOf returns the ID of the conversation that a JSON response of /api/answer names, or "". With ids, it also returns the
// response with the rewritten ID; it may be in the memory of body.
func ConversationOf(body []byte, ids ConversationIDs) (id string, rewritten []byte) {
	e, ok := decodeMetaEvent(body)
	if !ok {
		return "", body
	}
	if id = conversationID(e.conversation.of(body)); id == "" || ids == nil {
		return id, body
	}
	return id, appendWithID(make([]byte, 0, len(body)+64), body, e.conversation, id, ids)
}

// appendWithID appends data, with the ID at a position rewritten. id is empty if there is none, and ids may be nil.
func appendWithID(out, data []byte, at span, id string, ids ConversationIDs) []byte {
	if id == "" || ids == nil {
		return append(out, data...)
	}
	start := len(out)
	out = append(append(out, data[:at.start]...), '"')
	out, ok := ids.AppendConversationID(out, id)
	if !ok {
		return append(out[:start], data...)
	}
	return append(append(out, '"'), data[at.end:]...)
}

// delayedID is an event "id" that is sent later.
type delayedID struct {
	data []byte
	at   span // the position of the ID in data
	id   string
}

// appendIDEvent appends the event "id" that RejectTools has delayed, if there is one.
func (f *SSEFilter) appendIDEvent(out []byte) []byte {
	if f.delayed == nil {
		return out
	}
	out = appendWithID(append(out, "data: "...), f.delayed.data, f.delayed.at, f.delayed.id, f.IDs)
	f.delayed = nil
	return append(out, "\n\n"...)
}
