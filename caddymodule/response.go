package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/upstream"
)

// response is an answer of DocsGPT on its way back. The gate's own forwarding and the next handler's both give it the
// head, the pieces and the end, and it makes of them what the endpoint's clients can read.
type response struct {
	x      *gatewayRequest
	way    relayMode
	status int
	header http.Header // the upstream's

	filter docsgpt.SSEFilter // modeSSE
	out    []byte            // modeSSE: what is written next; modeBuffered, modeUpstreamError: what came so far
	flush  *http.ResponseController
	unsent delayedFlusher // modeSSE

	replied bool // modeSSE: the answer to an MCP client's request is there

	conversation string // modeSSE: what noteConversation has not noted yet
	toolCall     error  // a call of a tool that ended the answer; the next handler's own error tells less
}

// relayMode is what is done with the pieces of an answer.
type relayMode uint8

const (
	modePending       relayMode = iota // no head yet
	modeSSE                            // a stream: whole events, each written at once
	modeBuffered                       // kept until the end, so that a broken answer becomes a clean error
	modePassthrough                    // as they are; an answer that is too large to keep
	modeUpstreamError                  // no success: kept, to be translated
	modeDone                           // nothing more is written
)

// How much of an answer that is no stream is kept, in bytes. One that may hold what is not for clients is never passed on
// unread.
const (
	maxBufferedBody  = 1 << 20
	maxInspectedBody = 16 << 20
)

var (
	errStopReading      = errors.New("enough was read") // the rest does not matter
	errResponseTooLarge = errors.New("the answer is too long to look through")
)

// writeHeader takes the head.
func (a *response) writeHeader(status int, header http.Header) error {
	a.status, a.header = status, header
	a.beginMCP()
	a.setDownloadHeaders()
	stream := strings.HasPrefix(header.Get("Content-Type"), "text/event-stream")
	switch {
	case status < 200 || status > 299:
		a.way = modeUpstreamError
	case a.x.endpoint.Relay == docsgpt.RelayEvents && (!stream || header.Get("Content-Encoding") != ""),
		a.x.rejectsTools() && a.isEncoded():
		a.way = modeUpstreamError
	case stream:
		a.way = modeSSE
		a.filter.RejectTools = a.x.rejectsTools()
		if a.x.endpoint.Relay == docsgpt.RelayEvents {
			a.filter.Interrupted = interruptedEvent
		} else {
			a.filter.Verbatim = true
		}
		return a.beginStream()
	default:
		a.way = modeBuffered
	}
	return nil
}

func (a *response) beginStream() error {
	openStreams.Inc()
	a.flush = http.NewResponseController(a.x.w)
	h := a.x.w.Header()
	docsgpt.CopyResponseHeaders(h, a.header, a.x.endpoint)
	delete(h, "Content-Length")
	h["Cache-Control"] = streamCache
	h["X-Accel-Buffering"] = noBuffering
	a.x.w.WriteHeader(a.status)
	a.unsent.scheduleFlush(a.flush)
	return nil
}

var (
	interruptedEvent = docsgpt.TextEvent(docsgpt.Truncated().Message)
	streamCache      = []string{"no-cache, no-transform"}
	noBuffering      = []string{"no"}
)

// onChunk takes a piece.
func (a *response) onChunk(p []byte) error {
	switch a.way {
	case modeSSE:
		if a.out == nil {
			a.out = make([]byte, 0, len(p)+64)
		}
		var err error
		if a.out, err = a.filter.Filter(a.out[:0], p); err != nil {
			if isToolCall(err) {
				a.toolCall = err
			}
			_ = a.writeAndFlush(a.out) // a client that is gone is noticed by the next write
			return err
		}
		a.noteConversation()
		return a.writeAndFlush(a.out)
	case modeBuffered:
		mustRead := a.isTaskStatus() || a.x.call.ID != nil || a.x.rejectsTools()
		if size := len(a.out) + len(p); size <= maxBufferedBody || mustRead && size <= maxInspectedBody {
			a.out = append(a.out, p...)
			return nil
		}
		if mustRead {
			return errResponseTooLarge
		}
		a.way = modePassthrough
		a.writeHead()
		if _, err := a.x.w.Write(a.out); err != nil {
			return err
		}
		a.out = nil
		fallthrough
	case modePassthrough:
		_, err := a.x.w.Write(p)
		return err
	case modeUpstreamError:
		a.out = append(a.out, p[:min(len(p), docsgpt.MaxError-len(a.out))]...)
		if len(a.out) == docsgpt.MaxError {
			return errStopReading
		}
	case modePending, modeDone:
	}
	return nil
}

// writeAndFlush writes a piece of a stream and sends it on its way, with what was not sent yet. The piece with the end of the
// stream waits a moment, since the upstream closes right after it and then both go at once.
func (a *response) writeAndFlush(p []byte) error {
	if held := a.unsent.cancelPending(); len(p) == 0 && !held {
		return nil
	}
	if len(p) > 0 {
		if _, err := a.x.w.Write(p); err != nil {
			return err
		}
	}
	if a.filter.Done() {
		a.unsent.scheduleFlush(a.flush)
		return nil
	}
	return a.flush.Flush()
}

func (a *response) writeHead() {
	docsgpt.CopyResponseHeaders(a.x.w.Header(), a.header, a.x.endpoint)
	a.x.w.WriteHeader(a.status)
}

// close takes the end: nil where the upstream ended its answer as it should, else what happened. Before a head it is
// what became of the request.
func (a *response) close(err error) {
	way := a.way
	a.way = modeDone
	a.x.noteEnd(err)
	if way == modeSSE {
		openStreams.Dec()
		defer a.unsent.cancelPending()
	}
	switch cause := a.x.aborted(); {
	case cause == nil:
	case !errors.Is(cause, errShuttingDown):
		return // the client does not read it
	case err != nil || way == modeUpstreamError: // a handler may say in its own way that it was ended
		err = cause
	}
	if errors.Is(err, errStopReading) {
		err = nil
	}
	if a.toolCall != nil {
		err = a.toolCall
	}
	switch way {
	case modePending:
		a.writeUpstreamError(errorFor(err), err)
	case modeSSE:
		a.finishStream(err)
	case modeBuffered:
		if err == nil {
			err = a.checkTools()
		}
		if err != nil {
			a.writeUpstreamError(errorFor(err), err)
			return
		}
		a.recordCreatedIDs()
		docsgpt.CopyResponseHeaders(a.x.w.Header(), a.header, a.x.endpoint)
		a.x.w.Header()["Content-Length"] = []string{strconv.Itoa(len(a.out))}
		a.x.w.WriteHeader(a.status)
		_, _ = a.x.w.Write(a.out) // a client that is gone has no use for it
	case modePassthrough:
		if err != nil {
			a.x.logUpstreamError(docsgpt.Truncated(), a.status, err)
			panic(http.ErrAbortHandler) // the only way left to tell the client that the answer is not whole
		}
	case modeUpstreamError:
		if errors.Is(err, errShuttingDown) {
			a.writeUpstreamError(errorFor(err), err)
		} else if r := docsgpt.MapError(a.x.endpoint, a.status, a.header, a.out); r != nil {
			a.x.logUpstreamError(r, a.status, err)
			a.x.writeRefusal(r)
		}
	case modeDone:
	}
}

// drop ends a stream that has no end, since the next handler has panicked. After finish it does nothing.
func (a *response) drop() {
	if a.way == modeSSE {
		a.way = modeDone
		openStreams.Dec()
		a.unsent.cancelPending()
	}
}

// finishStream ends a stream: as the upstream did, if it did so rightly.
func (a *response) finishStream(err error) {
	switch {
	case a.replied, a.x.isServerStream() && errors.Is(err, upstream.ErrIdleTimeout):
	case a.toolCall == nil && !a.filter.Verbatim && a.filter.Done():
	case a.filter.Verbatim && !a.filter.RejectTools && err == nil && a.x.call.ID == nil:
		_ = a.writeAndFlush(a.filter.Pending()) // a client that is gone has no use for it
	default:
		a.abortStream(err)
	}
}

// writeUpstreamError answers in place of the upstream.
func (a *response) writeUpstreamError(r *docsgpt.Error, cause error) {
	a.x.logUpstreamError(r, a.status, cause)
	a.x.writeRefusal(r)
}

// abortStream ends a stream that has begun with a typed error, so that the client is not left waiting.
func (a *response) abortStream(cause error) {
	r := errorFor(cause)
	if cause == nil || r.Code == docsgpt.CodeUpstreamUnavailable {
		r = docsgpt.Truncated()
	}
	a.x.logUpstreamError(r, a.status, cause)
	var out []byte
	if a.filter.HasText() {
		said := interruptedEvent
		if r.Code == docsgpt.CodeToolsNotAllowed {
			said = docsgpt.TextEvent(r.Message)
		}
		out = append(out, said...)
	}
	// A failure here means that the client is gone.
	_ = a.writeAndFlush(a.x.endpoint.Shape.AppendStreamError(out, a.x.withRequestID(r), a.x.requestID()))
}

// errorFor says what a client is told about a failure of the upstream.
func errorFor(err error) *docsgpt.Error {
	switch {
	case isToolCall(err):
		return docsgpt.ToolsNotAllowed()
	case errors.Is(err, errShuttingDown):
		return &shuttingDown.Error
	case errors.Is(err, upstream.ErrTimeout), errors.Is(err, upstream.ErrIdleTimeout), errors.Is(err, context.DeadlineExceeded):
		return docsgpt.TimedOut()
	case errors.Is(err, upstream.ErrTruncated), errors.Is(err, docsgpt.ErrEventTooLarge):
		return docsgpt.Truncated()
	default:
		return docsgpt.Unavailable()
	}
}
