package gateway

import (
	"net/http"
	"strconv"

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
	case len(ids) > 1 || !c.owns(key, ownership.Session, ids[0]):
		return access, &apiError{Error: *docsgpt.NoSession()}
	default:
		access.session = ids[0]
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
	h := c.w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(reply))}
	h["Cache-Control"] = noStore
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(reply) // the client may have disconnected
}

// onMCPHeader handles the header of a response to an MCP client. It records the owner of a new session before the client gets
// the session ID, and forgets a session that has ended. Session IDs of error responses are removed.
func (res *response) onMCPHeader() {
	ok := res.status >= 200 && res.status <= 299
	if res.client.endpoint.Method == http.MethodDelete && ok || res.status == http.StatusNotFound {
		res.ownership().Forget(ownership.Session, res.session)
	}
	switch id := res.header.Get(docsgpt.HeaderSession); {
	case ok && res.call.IsInitialize():
		res.recordOwnership(ownership.Session, id)
	case id != res.session:
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
		res.ownership().Forget(ownership.Session, res.header.Get(docsgpt.HeaderSession))
	}
}
