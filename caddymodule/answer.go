package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/forward"
)

// answer is an answer of DocsGPT on its way back. The gate's own forwarding and the next handler's both give it the
// head, the pieces and the end, and it makes of them what the endpoint's clients can read.
type answer struct {
	x      *exchange
	way    way
	status int
	header http.Header // the upstream's

	filter docsgpt.Events // wayEvents
	out    []byte         // wayEvents: what is written next; wayHeld, wayRefused: what came so far
	flush  *http.ResponseController
	unsent unsent // wayEvents

	replied bool // wayEvents: the answer to an MCP client's request is there

	conversation string // wayEvents: what noteConversation has not noted yet
	toolCall     error  // a call of a tool that ended the answer; the next handler's own error tells less
}

// way is what is done with the pieces of an answer.
type way uint8

const (
	wayNone    way = iota // no head yet
	wayEvents             // a stream: whole events, each written at once
	wayHeld               // kept until the end, so that a broken answer becomes a clean error
	wayThrough            // as they are; an answer that is too large to keep
	wayRefused            // no success: kept, to be translated
	wayDone               // nothing more is written
)

// How much of an answer that is no stream is kept, in bytes. One that may hold what is not for clients is never passed on
// unread.
const (
	maxHeld = 1 << 20
	maxRead = 16 << 20
)

var (
	errEnough  = errors.New("enough was read") // the rest does not matter
	errTooLong = errors.New("the answer is too long to look through")
)

// begin takes the head.
func (a *answer) begin(status int, header http.Header) error {
	a.status, a.header = status, header
	a.beginMCP()
	a.beginDownload()
	stream := strings.HasPrefix(header.Get("Content-Type"), "text/event-stream")
	switch {
	case status < 200 || status > 299:
		a.way = wayRefused
	case a.x.endpoint.Relay == docsgpt.RelayEvents && (!stream || header.Get("Content-Encoding") != ""),
		a.x.rejectsTools() && a.isEncoded():
		a.way = wayRefused
	case stream:
		a.way = wayEvents
		a.filter.RejectTools = a.x.rejectsTools()
		if a.x.endpoint.Relay == docsgpt.RelayEvents {
			a.filter.Interrupted = interrupted
		} else {
			a.filter.Verbatim = true
		}
		return a.beginStream()
	default:
		a.way = wayHeld
	}
	return nil
}

func (a *answer) beginStream() error {
	openStreams.Inc()
	a.flush = http.NewResponseController(a.x.w)
	h := a.x.w.Header()
	docsgpt.CopyResponseHeaders(h, a.header, a.x.endpoint)
	delete(h, "Content-Length")
	h["Cache-Control"] = streamCache
	h["X-Accel-Buffering"] = noBuffering
	a.x.w.WriteHeader(a.status)
	a.unsent.hold(a.flush)
	return nil
}

var (
	interrupted = docsgpt.AnswerEvent(docsgpt.Cut().Message)
	streamCache = []string{"no-cache, no-transform"}
	noBuffering = []string{"no"}
)

// write takes a piece.
func (a *answer) write(p []byte) error {
	switch a.way {
	case wayEvents:
		if a.out == nil {
			a.out = make([]byte, 0, len(p)+64)
		}
		var err error
		if a.out, err = a.filter.Filter(a.out[:0], p); err != nil {
			if isToolCall(err) {
				a.toolCall = err
			}
			_ = a.push(a.out) // a client that is gone is noticed by the next write
			return err
		}
		a.noteConversation()
		return a.push(a.out)
	case wayHeld:
		mustRead := a.cleansTask() || a.x.call.ID != nil || a.x.rejectsTools()
		if size := len(a.out) + len(p); size <= maxHeld || mustRead && size <= maxRead {
			a.out = append(a.out, p...)
			return nil
		}
		if mustRead {
			return errTooLong
		}
		a.way = wayThrough
		a.writeHead()
		if _, err := a.x.w.Write(a.out); err != nil {
			return err
		}
		a.out = nil
		fallthrough
	case wayThrough:
		_, err := a.x.w.Write(p)
		return err
	case wayRefused:
		a.out = append(a.out, p[:min(len(p), docsgpt.MaxError-len(a.out))]...)
		if len(a.out) == docsgpt.MaxError {
			return errEnough
		}
	case wayNone, wayDone:
	}
	return nil
}

// push writes a piece of a stream and sends it on its way, with what was not sent yet. The piece with the end of the
// stream waits a moment, since the upstream closes right after it and then both go at once.
func (a *answer) push(p []byte) error {
	if held := a.unsent.take(); len(p) == 0 && !held {
		return nil
	}
	if len(p) > 0 {
		if _, err := a.x.w.Write(p); err != nil {
			return err
		}
	}
	if a.filter.Ended() {
		a.unsent.hold(a.flush)
		return nil
	}
	return a.flush.Flush()
}

func (a *answer) writeHead() {
	docsgpt.CopyResponseHeaders(a.x.w.Header(), a.header, a.x.endpoint)
	a.x.w.WriteHeader(a.status)
}

// finish takes the end: nil where the upstream ended its answer as it should, else what happened. Before a head it is
// what became of the request.
func (a *answer) finish(err error) {
	way := a.way
	a.way = wayDone
	a.x.noteEnd(err)
	if way == wayEvents {
		openStreams.Dec()
		defer a.unsent.take()
	}
	switch cause := a.x.aborted(); {
	case cause == nil:
	case !errors.Is(cause, errShuttingDown):
		return // the client does not read it
	case err != nil || way == wayRefused: // a handler may say in its own way that it was ended
		err = cause
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	if a.toolCall != nil {
		err = a.toolCall
	}
	switch way {
	case wayNone:
		a.fail(refusalFor(err), err)
	case wayEvents:
		a.finishStream(err)
	case wayHeld:
		if err == nil {
			err = a.checkTools()
		}
		if err != nil {
			a.fail(refusalFor(err), err)
			return
		}
		a.learn()
		docsgpt.CopyResponseHeaders(a.x.w.Header(), a.header, a.x.endpoint)
		a.x.w.Header()["Content-Length"] = []string{strconv.Itoa(len(a.out))}
		a.x.w.WriteHeader(a.status)
		_, _ = a.x.w.Write(a.out) // a client that is gone has no use for it
	case wayThrough:
		if err != nil {
			a.x.upstreamFailed(docsgpt.Cut(), a.status, err)
			panic(http.ErrAbortHandler) // the only way left to tell the client that the answer is not whole
		}
	case wayRefused:
		if errors.Is(err, errShuttingDown) {
			a.fail(refusalFor(err), err)
		} else if r := docsgpt.Translate(a.x.endpoint, a.status, a.header, a.out); r != nil {
			a.x.upstreamFailed(r, a.status, err)
			a.x.writeRefusal(r)
		}
	case wayDone:
	}
}

// drop ends a stream that has no end, since the next handler has panicked. After finish it does nothing.
func (a *answer) drop() {
	if a.way == wayEvents {
		a.way = wayDone
		openStreams.Dec()
		a.unsent.take()
	}
}

// finishStream ends a stream: as the upstream did, if it did so rightly.
func (a *answer) finishStream(err error) {
	switch {
	case a.replied, a.x.onlyListens() && errors.Is(err, forward.ErrIdle):
	case a.toolCall == nil && !a.filter.Verbatim && a.filter.Ended():
	case a.filter.Verbatim && !a.filter.RejectTools && err == nil && a.x.call.ID == nil:
		_ = a.push(a.filter.Rest()) // a client that is gone has no use for it
	default:
		a.breakOff(err)
	}
}

// fail answers in place of the upstream.
func (a *answer) fail(r *docsgpt.Refusal, cause error) {
	a.x.upstreamFailed(r, a.status, cause)
	a.x.writeRefusal(r)
}

// breakOff ends a stream that has begun with a typed error, so that the client is not left waiting.
func (a *answer) breakOff(cause error) {
	r := refusalFor(cause)
	if cause == nil || r.Code == docsgpt.CodeUpstreamUnavailable {
		r = docsgpt.Cut()
	}
	a.x.upstreamFailed(r, a.status, cause)
	var out []byte
	if a.filter.Spoke() {
		said := interrupted
		if r.Code == docsgpt.CodeToolsNotAllowed {
			said = docsgpt.AnswerEvent(r.Message)
		}
		out = append(out, said...)
	}
	// A failure here means that the client is gone.
	_ = a.push(a.x.endpoint.Shape.AppendBroken(out, a.x.answered(r), a.x.requestID()))
}

// refusalFor says what a client is told about a failure of the upstream.
func refusalFor(err error) *docsgpt.Refusal {
	switch {
	case isToolCall(err):
		return docsgpt.ToolsNotAllowed()
	case errors.Is(err, errShuttingDown):
		return &shuttingDown.Refusal
	case errors.Is(err, forward.ErrTimeout), errors.Is(err, forward.ErrIdle), errors.Is(err, context.DeadlineExceeded):
		return docsgpt.TimedOut()
	case errors.Is(err, forward.ErrCut), errors.Is(err, docsgpt.ErrEventTooLarge):
		return docsgpt.Cut()
	default:
		return docsgpt.Unavailable()
	}
}
