package doctor

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/docsgate/docsgate/docsgpt"
)

// streamQuestion asks for an answer that is long enough to measure how it is streamed.
const streamQuestion = "Please tell in about ten sentences what you can help with."

// checkStream asks a question, and checks that the answer is streamed and not buffered.
func (x *runner) checkStream(ctx context.Context) {
	q := x.streamRequest()
	if x.opts.Key == "" || x.outside == nil || x.worst("key.valid") == Failure || q.path == "" {
		return
	}
	a, err := x.ask(ctx, q)
	if err != nil {
		x.fail("stream.answer",
			fmt.Sprintf("The response to a question with the key was not complete: %v.", err), "Find the reason in the gate's log.")
		return
	}
	if x.endedForTool(a) {
		x.fail("stream.answer", "The answer to a question with the key ended with the code \""+docsgpt.CodeToolsNotAllowed+"\".",
			"See the findings about tools.")
		return
	}
	if r, isError := a.errorResponse(); isError || a.status != http.StatusOK {
		x.fail("stream.answer", fmt.Sprintf("A question with the key was rejected: status %d, code %q.", a.status, r.Code),
			"Look up the code in docs/configuration.md under \"Error responses\".")
		return
	}
	if a.media() != "text/event-stream" || a.timing.events == 0 {
		x.fail("stream.answer", fmt.Sprintf("The response of %s is not an event stream: its media type is %s.", q.path, a.media()),
			"Look for a server in front of the gate that replaces responses.")
		return
	}
	x.ok("stream.answer", "A question with the key was answered in "+number(a.timing.events, "event")+".")
	x.checkBuffering(ctx, a.timing)
}

// streamRequest returns a question at an open endpoint that streams. Its path is empty if there is none.
func (x *runner) streamRequest() request {
	for _, p := range x.openProbes() {
		q := request{method: http.MethodPost, path: p.path, timeout: x.opts.Timeout}
		switch p.path {
		case "/stream":
			q.body = map[string]any{"question": streamQuestion, "history": "[]", "api_key": x.opts.Key}
			return q
		case "/v1/chat/completions":
			q.header = bearer(x.opts.Key)
			q.body = map[string]any{
				"model": "docsgpt", "stream": true, "messages": []any{map[string]any{"role": "user", "content": streamQuestion}},
			}
			return q
		}
	}
	return request{}
}

// checkBuffering compares the timing of an answer for clients with its timing directly at the gate, if the gate is reachable here.
func (x *runner) checkBuffering(ctx context.Context, outside timing) {
	verdict := classifyBuffering(outside, nil)
	if verdict.severity != OK && x.named && x.inside != nil {
		if a, err := x.inside.send(ctx, x.agent, x.streamRequest()); err == nil && a.status == http.StatusOK {
			if again, err := x.ask(ctx, x.streamRequest()); err == nil && again.timing.spread() > outside.spread() {
				outside = again.timing // the less buffered of two
			}
			verdict = classifyBuffering(outside, &a.timing)
		}
	}
	x.add("stream.buffered", verdict.severity, verdict.summary, verdict.fix)
}

type verdict struct {
	severity     Severity
	summary, fix string
}

const (
	// Between the first and the last byte of an answer:
	streamedSpread = 200 * time.Millisecond // at least this is streaming
	longSpread     = time.Second            // at least this must also be visible to clients
	burstSpread    = 50 * time.Millisecond  // less than this is one burst

	longDelay  = 5 * time.Second // before the first byte: suspicious if the answer is one burst
	manyEvents = 20              // events that a streaming model does not write in one burst
)

const bufferFix = "Disable buffering and compression of the gate's responses in the server in front of the gate (nginx: proxy_buffering off), or " +
	"remove that server."

// classifyBuffering decides from the timing of an answer whether it was buffered. inside is the timing directly at the gate; nil:
// unknown. The result is Unknown for short answers, which look the same with a model that does not stream.
func classifyBuffering(outside timing, inside *timing) verdict {
	delay := outside.first.Round(100 * time.Millisecond)
	switch {
	case outside.hasLength && outside.events > 2:
		return verdict{
			Failure, "The stream has a Content-Length, so a server collects the whole answer before clients get any of it.", bufferFix,
		}
	case outside.spread() >= streamedSpread && outside.pieces >= 3:
		return verdict{OK, fmt.Sprintf("Answers are streamed: %d pieces over %s.", outside.pieces,
			outside.spread().Round(10*time.Millisecond)), ""}
	case inside != nil && inside.spread() >= longSpread && inside.pieces >= 3 && outside.spread() < inside.spread()/10:
		return verdict{Failure, fmt.Sprintf("The gate streams the answer over %s, but clients get all of it at the same time: a server in front of the gate "+
			"buffers it.", inside.spread().Round(100*time.Millisecond)), bufferFix}
	case outside.first >= longDelay && outside.spread() < burstSpread && outside.events >= manyEvents && inside == nil:
		return verdict{Warning, fmt.Sprintf("The whole answer arrived at the same time after %s: a server buffers it, or the model does "+
			"not stream.", delay), bufferFix}
	}
	return verdict{
		Unknown, "Whether answers are buffered is unknown: this answer was too fast to tell.",
		"Watch an answer in the widget: it must appear word by word.",
	}
}
