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
	return key != nil && e.CreatesConversation && h.mayBlock(key)
}

// mayBlock reports whether the conversations of a key are blocked while an answer is in flight, because tool calls in it are rejected.
func (h *Handler) mayBlock(key *keys.Key) bool {
	return key.Binding.Kind() == keys.SourceBinding && h.backend.UpstreamTools != app.ToolsAllow
}

// continuesConversation reports whether the request continues a conversation of its key, and replaces the signed ID by that of DocsGPT.
//
// DocsGPT finishes and stores an answer whose client has disconnected, including the output of tools, and shows it to the
// model with the next question in that conversation. So where tool calls are rejected, the conversation is blocked here and
// unblocked by noteConversation or inspectBody when the response was relayed to its end.
func (c *client) continuesConversation(body *docsgpt.Body, key *keys.Key) bool {
	signed := body.Conversation()
	if signed == "" {
		return false
	}
	id, ok := c.check(key, ownership.Conversation, signed)
	if !ok {
		return false
	}
	if c.handler.mayBlock(key) {
		if c.blocks = c.blockConversation(key, id); !c.blocks {
			return false
		}
	}
	body.SetConversation(id)
	return true
}

// noteConversation unblocks the conversation that a stream names when the stream has ended; see continuesConversation.
func (res *response) noteConversation() {
	if res.client.blocks && res.filter.Done() {
		res.unblockConversation(res.filter.Conversation())
	}
}

// unblockConversation ends what continuesConversation has begun. id is the conversation that the response has named, or "".
func (res *response) unblockConversation(id string) {
	if res.client.blocks && id != "" { // usually a new conversation, for which the database of a key store has nothing to do
		res.client.handler.backend.IDs().Blocked.Remove(id)
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
