package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/ownership"
)

// authorizeMCP checks the method and the session of a message of an MCP client. DocsGPT itself lets unauthenticated clients
// list its tools, and lets every client use or end every session.
func authorizeMCP(c *client, _ requestHead, body *requestBody, key *keys.Key) (access authorization, _ *apiError) {
	if c.endpoint.Body == docsgpt.BodyJSON {
		var err error
		if access.call, err = body.json.Call(); err != nil {
			return access, badRequest(err)
		}
		c.rpcID = access.call.ID
		if apiErr := access.call.CheckHeader(c.r.Header); apiErr != nil {
			return access, &apiError{Error: *apiErr}
		}
	}
	switch ids := c.r.Header[docsgpt.HeaderSession]; {
	case len(ids) == 0 && access.call.Stateless:
	case len(ids) == 0 && !access.call.IsInitialize():
		return access, &apiError{Error: *docsgpt.NeedsSession()}
	case len(ids) == 0:
	case len(ids) > 1:
		return access, &apiError{Error: *docsgpt.NoSession()}
	default:
		id, ok := c.check(key, ownership.Session, ids[0])
		if !ok || c.handler.backend.State().Ownership.Owns(c.ownerFor(key), endedSession, id) {
			return access, &apiError{Error: *docsgpt.NoSession()}
		}
		access.session = id
	}
	if c.endpoint.Body == docsgpt.BodyJSON {
		if apiErr := body.json.CheckCall(&access.call, c.r.Header); apiErr != nil {
			return access, &apiError{Error: *apiErr}
		}
	}
	return access, nil
}

// writeReply writes the response to a message that the gate answers itself.
func (c *client) writeReply(reply []byte) {
	h, v := c.w.Header(), &c.responseValues
	v.set(h, "Content-Type", jsonType)
	v.set(h, "Content-Length", strconv.Itoa(len(reply)))
	v.set(h, "Cache-Control", "no-store")
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(reply) // the client may have disconnected
}

// endedSession is a session that has ended, as far as the gate remembers: requests in it need not be forwarded.
const endedSession ownership.Kind = "ended session"

// onMCPHeader handles the header of a response to an MCP client. It signs the ID of a new session, and remembers a session that has ended.
// Session IDs of error responses are removed.
func (res *response) onMCPHeader() {
	ok := res.status >= 200 && res.status <= 299
	if res.client.endpoint.Method == http.MethodDelete && ok || res.status == http.StatusNotFound {
		res.endSession()
	}
	id := res.header.Get(docsgpt.HeaderSession)
	switch {
	case id == "":
	case ok && res.call.IsInitialize():
		res.session = id
		res.client.handler.state.sessions.add(res, id)
		fallthrough
	case id == res.session:
		about := res.client.subjectOf(res.key, ownership.Session)
		res.header.Set(docsgpt.HeaderSession, res.client.handler.backend.IDs().Signer.Sign(id, &about, time.Now()))
	default:
		res.header.Del(docsgpt.HeaderSession)
	}
	if res.call.ID != nil {
		res.filter.OnEvent = func(event []byte) []byte {
			res.replied = res.replied || docsgpt.IsResponse(event)
			apiErr, out := docsgpt.TranslateEvent(event)
			res.handleMCPError(apiErr)
			if res.call.ListsCapabilities() {
				out = docsgpt.FilterCapabilities(out)
			}
			return out
		}
	}
}

// endSession remembers that the session of the request, or the one that the response has begun, has ended.
func (res *response) endSession() {
	if res.session != "" {
		res.client.handler.backend.State().Ownership.Assign(res.client.ownerFor(res.key), endedSession, res.session)
		res.client.handler.state.sessions.forget(res.session)
	}
}

// onMCPBody translates a buffered response to an MCP client.
func (res *response) onMCPBody() *docsgpt.Error {
	if res.call.ID != nil {
		var apiErr *docsgpt.Error
		apiErr, res.out = docsgpt.TranslateMessage(res.out)
		res.handleMCPError(apiErr)
		if res.call.ListsCapabilities() {
			res.out = docsgpt.FilterCapabilities(res.out)
		}
	}
	return nil
}

// handleMCPError logs an error that DocsGPT returned as a JSON-RPC message; nil: there is none.
func (res *response) handleMCPError(apiErr *docsgpt.Error) {
	if apiErr == nil {
		return
	}
	res.client.logUpstreamError(apiErr, res.status, nil)
	if res.call.IsInitialize() {
		res.endSession()
	}
}

// acceptsEvents reports whether the client of a call can read its response as a stream, so that a keepalive may begin it.
func (x *gatewayRequest) acceptsEvents(access *authorization) bool {
	return access.call.ID != nil && strings.Contains(x.client.r.Header.Get("Accept"), "text/event-stream")
}

// writeMessageEvent ends a stream that a keepalive has begun with the buffered response, or with an error that is sent in its place.
func (res *response) writeMessageEvent(r *docsgpt.Error) {
	if r == nil && len(res.out) == 0 {
		r = docsgpt.Truncated()
	}
	if r != nil {
		res.client.writeStreamError(r)
		return
	}
	_, _ = res.client.w.Write(docsgpt.AppendMessageEvent(nil, res.out)) // the client may have disconnected
}
