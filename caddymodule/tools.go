package caddymodule

import (
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/ownership"
)

// Values of the option upstream_tools. The default is the empty string.
const (
	toolsNone  = "none"  // DocsGPT offers no tools to the account of upstream_token
	toolsAllow = "allow" // clients may use the tools of the account of upstream_token
)

func checkUpstreamTools(value string) error {
	switch value {
	case "", toolsNone, toolsAllow:
		return nil
	}
	return fmt.Errorf("upstream_tools must be none or allow, not %q", value)
}

// toolsFix says how to disable the tools of the account of upstream_token.
const toolsFix = "set DEFAULT_CHAT_TOOLS=none in DocsGPT, use a separate account without tools for upstream_token, and add " +
	"upstream_tools none to the docsgate options. To let clients share the tools of the account, add upstream_tools allow"

// warnOfTools logs, once per shared state, that clients may be able to use the tools of an account. Versions without accounts
// (0.13 and older) have the same tools for every chat. DocsGPT is not queried, since a configuration must load while it is
// unavailable.
func (a *App) warnOfTools() {
	if a.UpstreamTools != "" || !a.version.Accounts || a.token.IsZero() || a.state.toolsWarned.Swap(true) {
		return
	}
	a.logger.Warn("questions with keys that are bound to sources run in DocsGPT as the account of upstream_token, and DocsGPT may offer "+
		"the model tools of that account: by default a memory that all clients share, a web page reader, and scheduled tasks. "+
		"A response with a tool call ends with the error "+docsgpt.CodeToolsNotAllowed+", but DocsGPT still executes the call",
		zap.String("fix", toolsFix))
}

// rejectsTools reports whether a response with a tool call is an error, since the tools are those of the account of
// upstream_token. Requests of keys that are bound to an agent have only the tools of that agent.
func (x *gatewayRequest) rejectsTools() bool {
	return x.key != nil && x.endpoint.CreatesConversation && x.key.Binding.Kind() == keys.SourceBinding &&
		x.handler.app.UpstreamTools != toolsAllow
}

// continuesConversation reports whether the request continues a conversation of its key.
//
// DocsGPT finishes and stores an answer whose client has disconnected, including the output of tools, and shows it to the
// model with the next question in that conversation. So where tool calls are rejected, the key loses its conversation here
// and gets it back from noteConversation or recordCreatedIDs when the response was relayed to its end.
func (x *gatewayRequest) continuesConversation() bool {
	id := x.body.Conversation()
	if !x.rejectsTools() {
		return x.owns(ownership.Conversation, id)
	}
	return id != "" && x.handler.app.state.ownership.Take(ownerFor(x.key), ownership.Conversation, id)
}

// noteConversation records the owner of the conversation that a stream names: before the client gets the ID or, if tool
// calls are rejected, at the end of the stream; see continuesConversation.
func (res *response) noteConversation() {
	id := res.filter.Conversation()
	if !res.filter.RejectTools {
		res.x.recordOwnership(ownership.Conversation, id)
		return
	}
	if id != "" {
		res.conversation = id
	}
	if res.filter.Done() {
		res.x.recordOwnership(ownership.Conversation, res.conversation)
	}
}

// isEncoded reports whether the response has a content encoding, although the request asked for none.
func (res *response) isEncoded() bool {
	encoding := res.header.Get("Content-Encoding")
	return encoding != "" && encoding != "identity"
}

// checkTools returns an error if a buffered JSON response contains a tool call that is rejected.
func (res *response) checkTools() error {
	if !res.x.rejectsTools() {
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
