package caddymodule

import (
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/ownership"
)

// The values of the option upstream_tools, beside the default: an empty text.
const (
	toolsNone  = "none"  // DocsGPT offers the account of upstream_token no tools; the operator says so
	toolsAllow = "allow" // clients may use the tools of the account of upstream_token
)

func checkUpstreamTools(value string) error {
	switch value {
	case "", toolsNone, toolsAllow:
		return nil
	}
	return fmt.Errorf("upstream_tools %q: write none or allow", value)
}

// toolsFix says what to do about tools that the model is offered with keys that are bound to sources.
const toolsFix = "set DEFAULT_CHAT_TOOLS=none in DocsGPT, and give upstream_token an account of its own that has no tools; " +
	"then write upstream_tools none into the docsgate options. To let clients share the tools of the account: upstream_tools allow"

// warnOfTools logs once for as long as the keys' state lives, which reloads share, that it cannot be ruled out that
// clients use the tools of an account. Versions without accounts (0.13 and older) give every chat the same tools, whatever
// its key. DocsGPT is not asked: a configuration must load while it is away.
func (a *App) warnOfTools() {
	if a.UpstreamTools != "" || !a.version.Accounts || a.token.IsZero() || a.state.toolsWarned.Swap(true) {
		return
	}
	a.logger.Warn("questions with keys that are bound to sources run in DocsGPT as the account of upstream_token, and the model may be "+
		"offered tools of that account: by default a memory that all clients share, reading of web pages, and scheduled tasks. "+
		"An answer in which the model calls one ends with the error "+docsgpt.CodeToolsNotAllowed+", but DocsGPT still carries out the call",
		zap.String("fix", toolsFix))
}

// rejectsTools reports whether the answer must not come from tools of the account that DocsGPT runs the request as.
// Requests of agent bindings have the tools of their agent only.
func (x *gatewayRequest) rejectsTools() bool {
	return x.key != nil && x.endpoint.CreatesConversation && x.key.Binding.Kind() == keys.SourceBinding &&
		x.handler.app.UpstreamTools != toolsAllow
}

// continues reports whether the request goes on with a conversation of its key.
//
// DocsGPT finishes and stores an answer that nobody reads any more, with what tools returned, and the next question in
// that conversation shows it to the model. So where tools are rejected, a conversation belongs to its key only between
// answers that were seen to their end: it is taken away here, and given back by noteConversation or learn.
func (x *gatewayRequest) continues() bool {
	id := x.body.Conversation()
	if !x.rejectsTools() {
		return x.owns(ownership.Conversation, id)
	}
	return id != "" && x.handler.app.state.belongings.Take(ownerFor(x.key), ownership.Conversation, id)
}

// noteConversation notes the conversation that a stream told, before the client learns of it or at the end, see
// continues.
func (a *response) noteConversation() {
	id := a.filter.Conversation()
	if !a.filter.RejectTools {
		a.x.recordOwnership(ownership.Conversation, id)
		return
	}
	if id != "" {
		a.conversation = id
	}
	if a.filter.Done() {
		a.x.recordOwnership(ownership.Conversation, a.conversation)
	}
}

// isEncoded reports whether an answer that must be looked at is compressed, though DocsGPT was asked not to.
func (a *response) isEncoded() bool {
	encoding := a.header.Get("Content-Encoding")
	return encoding != "" && encoding != "identity"
}

// checkTools looks at a whole JSON answer.
func (a *response) checkTools() error {
	if !a.x.rejectsTools() {
		return nil
	}
	if call := docsgpt.FindToolCall(a.out); call != nil {
		return call
	}
	return nil
}

// isToolCall reports whether an answer ended for a call of a tool.
func isToolCall(err error) bool {
	_, is := errors.AsType[*docsgpt.ToolCallError](err)
	return is
}
