package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/upstream"
)

// response relays one response of DocsGPT to the client, in the shape of the endpoint. Both forward and serveNext call
// writeHeader, then WriteChunk for each chunk, then close.
type response struct {
	client        *client
	slot          *slot
	key           *keys.Key // nil if the endpoint takes no token
	authorization           // of the request
	rejectTools   bool      // a tool call is an error
	item          string    // of the list that DocsGPT responds with; "": the whole response

	mode   relayMode
	status int
	header http.Header // of the upstream response

	filter docsgpt.SSEFilter // modeSSE
	out    []byte            // modeSSE: the current write; modeBuffered, modeUpstreamError: the body so far
	stream streamWriter      // modeSSE, and before if the client expects a stream

	pulled        bool // Delays and Flush are called
	awaitsMessage bool // modeSSE: the request may outlive its client until the stream has named its message

	signedFor    string // modeSSE: the ID that was signed last, see AppendConversationID; "": none
	signed       []byte // the result
	signedMemory [96]byte

	replied bool // modeSSE: the response to the JSON-RPC request was relayed

	quota      *questionQuota // nil: the answer is not counted
	question   bool           // the response is an answer
	received   int            // of the body so far, in bytes
	firstEvent time.Duration  // modeSSE: from the arrival of the request to the first event; 0: none yet
	sources    bool           // modeBuffered: the answer names a source

	toolCall   error // the tool call that ended the response; takes precedence over the error of the next handler
	unexpected error // modeUpstreamError: the response is successful, but not a response of DocsGPT
}

// relayMode says how the chunks of a response are relayed.
type relayMode uint8

const (
	modePending       relayMode = iota // no header yet
	modeSSE                            // a stream: whole events, each written immediately
	modeBuffered                       // buffered to the end, so that a truncated response becomes an error response
	modePassthrough                    // unchanged; the response is too large to buffer
	modeUpstreamError                  // an error response: buffered and mapped
	modeDone                           // nothing more is written
)

// Limits of buffered responses that are not streams, in bytes. A response that must be inspected is never passed through;
// above maxInspectedBody the client gets an error response.
const (
	maxBufferedBody  = 1 << 20
	maxInspectedBody = 16 << 20
)

var (
	errStopReading      = errors.New("stopped reading") // the rest is not needed
	errResponseTooLarge = errors.New("the response is too large to inspect")
)

// writeHeader handles the status and the header of the upstream response.
func (res *response) writeHeader(status int, header http.Header) {
	res.status, res.header = status, header
	res.client.handler.noteUpstreamStatus(status)
	begun := res.stream.awaitsHeader()
	if onHeader := res.client.endpoint.group.onHeader; onHeader != nil {
		onHeader(res)
	}
	e, contentType := res.client.endpoint, header.Get("Content-Type")
	stream := strings.HasPrefix(contentType, "text/event-stream")
	switch {
	case status < 200 || status > 299:
		res.mode = modeUpstreamError
	case !e.ExpectsType(contentType) || begun && !stream && e.ErrorFormat != docsgpt.FormatRPC || e.Relay == docsgpt.RelayEvents && !stream:
		res.mode, res.unexpected = modeUpstreamError, &unexpectedTypeError{contentType}
	case e.Relay == docsgpt.RelayEvents && header.Get("Content-Encoding") != "", res.rejectTools && res.isEncoded():
		res.mode = modeUpstreamError
	case stream:
		res.beginStream(begun)
	default:
		res.mode = modeBuffered
	}
}

// unexpectedTypeError is returned for a successful response with a content type that DocsGPT does not use: it comes from
// another server.
type unexpectedTypeError struct{ contentType string }

func (e *unexpectedTypeError) Error() string {
	return fmt.Sprintf("the response has the content type %.100q, which DocsGPT does not use here", e.contentType)
}

// beginStream begins to relay a stream. begun says that a keepalive has already begun it for the client.
func (res *response) beginStream(begun bool) {
	c := res.client
	res.mode = modeSSE
	res.filter.RejectTools = res.rejectTools
	if c.endpoint.CreatesConversation && res.key != nil {
		res.filter.IDs = res
	}
	if c.endpoint.Relay == docsgpt.RelayEvents {
		res.filter.Interrupted = interruptedEvent
	} else {
		res.filter.Verbatim, res.filter.DetectEnd = true, c.endpoint.HasEnd()
		res.filter.AddRole = c.endpoint.Relay == docsgpt.RelayChunks
	}
	res.awaitsMessage = c.messageWait != nil
	res.filter.CountText, res.filter.DetectSources = res.question, res.question
	if res.quota != nil {
		res.quota.watch(res)
	}
	c.trace.watchTokens(res)
	if begun {
		return
	}
	docsgpt.CopyResponseHeaders(c.w.Header(), res.header, c.endpoint.Endpoint)
	if res.stream.w == nil {
		res.stream.start(c, c.handler.sseKeepalive(), false)
	}
	res.stream.begin(res.status, res.pulled)
}

var interruptedEvent = docsgpt.TextEvent(docsgpt.Truncated().Message)

// Delays implements upstream.Sink.
func (res *response) Delays() bool { return res.mode == modeSSE && res.stream.delays() }

// Flush implements upstream.Sink.
func (res *response) Flush() { res.stream.flushDelayed() }

// WriteChunk implements upstream.Sink: it handles a chunk of the body.
func (res *response) WriteChunk(p []byte) error {
	res.received += len(p)
	switch res.mode {
	case modeSSE:
		b := takeBuffer()
		defer func() {
			b.release(res.out)
			res.out = nil
		}()
		var err error
		if res.out, err = res.filter.Filter(b.bytes[:0], p); err != nil {
			if isToolCall(err) {
				res.toolCall = err
			}
			_ = res.stream.write(res.out, false) // the next write notices a disconnected client
			return err
		}
		if res.firstEvent == 0 && len(res.out) > 0 {
			res.firstEvent = res.client.noteFirstEvent()
		}
		if res.awaitsMessage {
			switch end, skip := res.awaitMessage(); {
			case end:
				return lifecycle.ErrDisconnected
			case skip:
				return nil
			}
		}
		res.noteConversation()
		if res.filter.Commented() && len(res.out) == 0 {
			res.out = append(res.out, blankLine...)
		}
		return res.stream.write(res.out, res.filter.Done())
	case modeBuffered:
		mustRead := res.isTaskStatus() || res.call.ID != nil || res.item != "" || res.rejectTools
		if size := len(res.out) + len(p); size <= maxBufferedBody || mustRead && size <= maxInspectedBody {
			res.out = append(res.out, p...)
			return nil
		}
		if mustRead {
			return errResponseTooLarge
		}
		res.mode = modePassthrough
		res.writeHead()
		if res.client.r.Method == http.MethodHead {
			return errStopReading
		}
		if _, err := res.client.w.Write(res.out); err != nil {
			return err
		}
		res.out = nil
		fallthrough
	case modePassthrough:
		_, err := res.client.w.Write(p)
		return err
	case modeUpstreamError:
		res.out = append(res.out, p[:min(len(p), docsgpt.MaxError-len(res.out))]...)
		if len(res.out) == docsgpt.MaxError {
			return errStopReading
		}
	case modePending, modeDone:
	}
	return nil
}

func (res *response) writeHead() {
	docsgpt.CopyResponseHeaders(res.client.w.Header(), res.header, res.client.endpoint.Endpoint)
	res.client.w.WriteHeader(res.status)
}

// close ends the response. err is nil if the upstream response is complete. Without a preceding writeHeader err says why
// there is no response.
func (res *response) close(err error) {
	way := res.mode
	res.mode = modeDone
	aborted := res.client.aborted()
	res.slot.noteEnd(err, aborted)
	switch {
	case aborted == nil:
	case endedByGate(aborted) == nil:
		return // the client does not read the response
	case err != nil || way == modeUpstreamError: // a handler may return its own error when it is canceled
		err = aborted
	}
	if errors.Is(err, errStopReading) {
		err = nil
	}
	if res.toolCall != nil {
		err = res.toolCall
	}
	switch way {
	case modePending:
		if res.quota != nil {
			res.quota.unsent = isUnsent(err)
		}
		res.writeUpstreamError(errorFor(err), err)
	case modeSSE:
		res.finishStream(err)
	case modeBuffered:
		if err == nil {
			err = res.checkTools()
		}
		if err != nil {
			res.writeUpstreamError(errorFor(err), err)
			return
		}
		res.sources = res.question && docsgpt.NamesSources(res.out)
		r := res.inspectBody()
		if res.stream.stop() { // of an MCP client
			res.writeMessageEvent(r)
			return
		}
		if r != nil {
			res.client.writeErrorResponse(r)
			return
		}
		docsgpt.CopyResponseHeaders(res.client.w.Header(), res.header, res.client.endpoint.Endpoint)
		res.client.responseValues.set(res.client.w.Header(), "Content-Length", strconv.Itoa(len(res.out)))
		res.client.w.WriteHeader(res.status)
		_, _ = res.client.w.Write(res.out) // the client may have disconnected
	case modePassthrough:
		if err != nil {
			res.client.logUpstreamError(docsgpt.Truncated(), res.status, err)
			res.client.noteReason(docsgpt.Truncated().Code, res.status)
			panic(http.ErrAbortHandler) // the only way to signal that the response is truncated
		}
	case modeUpstreamError:
		if endedByGate(err) != nil {
			res.writeUpstreamError(errorFor(err), err)
			return
		}
		if res.unexpected != nil {
			err = res.unexpected
		}
		res.writeUpstreamError(docsgpt.MapError(res.client.endpoint.Endpoint, res.status, res.header, res.out), err)
	case modeDone:
	}
}

// finishStream ends a stream, with an error event if the upstream stream is truncated.
func (res *response) finishStream(err error) {
	switch {
	case res.replied, res.client.endpoint.isServerStream && errors.Is(err, upstream.ErrIdleTimeout):
	case res.toolCall == nil && res.filter.Done():
	case res.filter.DetectEnd && err == nil:
		if end := res.filter.EndPending(); end != nil {
			_ = res.stream.write(end, true) // the client may have disconnected
			return
		}
		res.abortStream(nil)
	case res.filter.Verbatim && !res.filter.RejectTools && err == nil && res.call.ID == nil:
		_ = res.stream.write(res.filter.Pending(), true) // the client may have disconnected
	default:
		res.abortStream(err)
	}
}

// writeUpstreamError logs a failure of the upstream and writes the error response for it.
func (res *response) writeUpstreamError(r *docsgpt.Error, cause error) {
	c := res.client
	c.logUpstreamError(r, res.status, cause)
	c.noteReason(r.Code, res.status)
	if !res.stream.stop() {
		c.writeErrorResponse(r)
		return
	}
	c.writeStreamError(r) // a keepalive has begun a stream for the client
}

// abortStream ends a started stream with an error event, so that the client does not wait for more.
func (res *response) abortStream(cause error) {
	r := errorFor(cause)
	if cause == nil || r.Code == docsgpt.CodeUpstreamUnavailable {
		r = docsgpt.Truncated()
	}
	res.client.logUpstreamError(r, res.status, cause)
	res.client.noteReason(r.Code, res.status)
	var out []byte
	if res.filter.HasText() {
		event := interruptedEvent
		if r.Code == docsgpt.CodeToolsNotAllowed {
			event = docsgpt.TextEvent(r.Message)
		}
		out = append(out, event...)
	}
	// An error means that the client has disconnected.
	_ = res.stream.write(res.client.endpoint.ErrorFormat.AppendStreamError(out, res.client.withRPCID(r), res.client.requestID()), true)
}

// errorFor maps a failure of the upstream to the error that the client gets.
func errorFor(err error) *docsgpt.Error {
	if rejection, ok := errors.AsType[*nextRejectionError](err); ok {
		return rejection.toError()
	}
	if apiErr := endedByGate(err); apiErr != nil {
		return &apiErr.Error
	}
	switch {
	case isToolCall(err):
		return docsgpt.ToolsNotAllowed()
	case errors.Is(err, upstream.ErrTimeout), errors.Is(err, upstream.ErrIdleTimeout), errors.Is(err, context.DeadlineExceeded):
		return docsgpt.TimedOut()
	case errors.Is(err, upstream.ErrTruncated), errors.Is(err, docsgpt.ErrEventTooLarge):
		return docsgpt.Truncated()
	default:
		return docsgpt.Unavailable()
	}
}
