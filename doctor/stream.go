package doctor

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/docsgate/docsgate/docsgpt"
)

// streamQuestion asks for an answer that is long enough to be seen coming.
const streamQuestion = "Please tell in about ten sentences what you can help with."

// checkStream asks a question and tells whether the answer comes as it is written, or only when it is whole.
func (x *runner) checkStream(ctx context.Context) {
	q := x.streamRequest()
	if x.opts.Key == "" || x.outside == nil || x.worst("key.valid") == Failure || q.path == "" {
		return
	}
	a, err := x.ask(ctx, q)
	if err != nil {
		x.fail("stream.answer",
			fmt.Sprintf("A question with the key got no whole answer: %v.", err), "See the gate's log.")
		return
	}
	if x.endedForTool(a) {
		x.fail("stream.answer", "The answer to a question with the key ended with the code \""+docsgpt.CodeToolsNotAllowed+"\".",
			"See what is found about tools.")
		return
	}
	if r, refused := a.refusal(); refused || a.status != http.StatusOK {
		x.fail("stream.answer", fmt.Sprintf("A question with the key was refused: status %d, code %q.", a.status, r.Code),
			"Look the code up in docs/configuration.md under \"Error responses\".")
		return
	}
	if a.media() != "text/event-stream" || a.timing.events == 0 {
		x.fail("stream.answer", fmt.Sprintf("The answer on %s is no stream of events, but %s.", q.path, a.media()),
			"Look for a server in between that replaces answers.")
		return
	}
	x.ok("stream.answer", "A question with the key was answered, in "+number(a.timing.events, "event")+".")
	x.checkBuffering(ctx, a.timing)
}

// streamRequest asks where answers are streamed. Its path is empty if that is nowhere.
func (x *runner) streamRequest() request {
	for _, p := range x.openProbes() {
		q := request{method: http.MethodPost, path: p.path, patience: x.opts.Timeout}
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

// checkBuffering compares how the answer comes to clients with how it comes out of the gate, if that can be asked.
func (x *runner) checkBuffering(ctx context.Context, outside timing) {
	verdict := classifyBuffering(outside, nil)
	if verdict.severity != OK && x.named && x.inside != nil {
		if a, err := x.inside.send(ctx, x.agent, x.streamRequest()); err == nil && a.status == http.StatusOK {
			if again, err := x.ask(ctx, x.streamRequest()); err == nil && again.timing.spread() > outside.spread() {
				outside = again.timing // the better of two
			}
			verdict = classifyBuffering(outside, &a.timing)
		}
	}
	x.add("stream.buffered", verdict.severity, verdict.what, verdict.mend)
}

type verdict struct {
	severity   Severity
	what, mend string
}

const (
	seen      = 200 * time.Millisecond // the shortest time in which an answer is seen to come
	sure      = time.Second            // one in which it must be
	suspicion = 5 * time.Second        // silence before an answer that then is there at once
	atOnce    = 50 * time.Millisecond
	many      = 20 // events that no model writes at once
)

const bufferMend = "Switch buffering and compression off for the gate's answers in the server in between (nginx: proxy_buffering off), or " +
	"take it away."

// classifyBuffering tells from when an answer came whether something holds it back. inside is the same without what is in between;
// nil: not known. What cannot be told is unknown: short answers, and models that do not stream, look alike.
func classifyBuffering(outside timing, inside *timing) verdict {
	held := outside.first.Round(100 * time.Millisecond)
	switch {
	case outside.counted && outside.events > 2:
		return verdict{
			Failure, "The stream says its length in advance, so something collects the answer before clients get any of it.", bufferMend,
		}
	case outside.spread() >= seen && outside.pieces >= 3:
		return verdict{OK, fmt.Sprintf("Answers come as they are written: %d pieces over %s.", outside.pieces,
			outside.spread().Round(10*time.Millisecond)), ""}
	case inside != nil && inside.spread() >= sure && inside.pieces >= 3 && outside.spread() < inside.spread()/10:
		return verdict{Failure, fmt.Sprintf("Out of the gate the answer comes over %s, but clients get all of it at once: something in "+
			"between holds it back.", inside.spread().Round(100*time.Millisecond)), bufferMend}
	case outside.first >= suspicion && outside.spread() < atOnce && outside.events >= many && inside == nil:
		return verdict{Warning, fmt.Sprintf("The whole answer came at once after %s: something holds it back, or the model does "+
			"not stream.", held), bufferMend}
	}
	return verdict{
		Unknown, "It could not be told whether answers are held back: this one came too quickly.",
		"Watch an answer in the widget: it should grow word by word.",
	}
}
