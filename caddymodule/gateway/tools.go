package gateway

import (
	"errors"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/ownership"
)

// rejectsTools reports whether a response with a tool call is an error, since the tools are those of the account of
// upstream_token. Requests of keys that are bound to an agent have only the tools of that agent. key may be nil.
func (h *Handler) rejectsTools(e *endpoint, key *keys.Key) bool {
	return key != nil && e.CreatesConversation && key.Binding.Kind() == keys.SourceBinding && h.app.UpstreamTools != app.ToolsAllow
}

// continuesConversation reports whether the request continues a conversation of its key.
//
// DocsGPT finishes and stores an answer whose client has disconnected, including the output of tools, and shows it to the
// model with the next question in that conversation. So where tool calls are rejected, the key loses its conversation here
// and gets it back from noteConversation or inspectBody when the response was relayed to its end.
func (c *client) continuesConversation(e *endpoint, body *docsgpt.Body, key *keys.Key) bool {
	id := body.Conversation()
	if !c.handler.rejectsTools(e, key) {
		return c.owns(key, ownership.Conversation, id)
	}
	return id != "" && c.handler.app.State().Ownership.Take(c.ownerFor(key), ownership.Conversation, id)
}

// noteConversation records the owner of the conversation that a stream names: before the client gets the ID or, if tool
// calls are rejected, at the end of the stream; see continuesConversation.
func (res *response) noteConversation() {
	id := res.filter.Conversation()
	if !res.filter.RejectTools {
		res.recordOwnership(ownership.Conversation, id)
		return
	}
	if id != "" {
		res.conversation = id
	}
	if res.filter.Done() {
		res.recordOwnership(ownership.Conversation, res.conversation)
	}
}

// isEncoded reports whether the response has a content encoding, although the request asked for none.
func (res *response) isEncoded() bool {
	encoding := res.header.Get("Content-Encoding")
	return encoding != "" && encoding != "identity"
}

// checkTools returns an error if a buffered JSON response contains a tool call that is rejected.
func (res *response) checkTools() error {
	if !res.rejectTools {
		return nil
	}
	if call := docsgpt.FindToolCall(res.out); call != nil {
		return call
	}
	return nil
}

// isToolCall reports whether a response was ended because of a tool call.
func isToolCall(err error) bool {
	_, is := errors.AsType[*docsgpt.ToolCallError](err)
	return is
}
