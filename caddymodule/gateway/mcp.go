package gateway

import (
	"net/http"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/ownership"
)

// authorizeMCP checks the method and the session of a message of an MCP client. DocsGPT itself lets unauthenticated clients
// list its tools, and lets every client use or end every session.
func (x *gatewayRequest) authorizeMCP() *apiError {
	e := x.endpoint
	if e.Group != docsgpt.GroupMCP {
		return nil
	}
	if e.Body == docsgpt.BodyJSON {
		var err error
		if x.call, err = x.body.Call(); err != nil {
			return badRequest(err)
		}
	}
	switch ids := x.r.Header[docsgpt.HeaderSession]; {
	case len(ids) == 0 && !x.call.IsInitialize():
		return &apiError{Error: *docsgpt.NeedsSession()}
	case len(ids) == 0:
	case len(ids) > 1 || !x.owns(ownership.Session, ids[0]):
		return &apiError{Error: *docsgpt.NoSession()}
	default:
		x.session = ids[0]
	}
	if e.Body == docsgpt.BodyJSON {
		if apiErr := x.body.CheckCall(&x.call); apiErr != nil {
			return &apiError{Error: *apiErr}
		}
	}
	return nil
}

// oauthRegisterPath is the path of OAuth client registration, which MCP clients request after their key was rejected. They
// show the error of this request instead of the first one.
const oauthRegisterPath = "/register"

var (
	oauthErrorEndpoint = &docsgpt.Endpoint{Name: "none", Shape: docsgpt.ShapeOAuth}
	errNoOAuth         = newError(http.StatusNotFound, "not_found",
		"There is nothing to sign in to here. Send a valid API key in the header Authorization, as Bearer.")
)

// notFoundError returns the error for an unknown path.
func (x *gatewayRequest) notFoundError() *apiError {
	if x.r.URL.Path == oauthRegisterPath && x.handler.routes.Find("/mcp/") != nil {
		x.endpoint = oauthErrorEndpoint
		return errNoOAuth
	}
	return errNotFound
}

// withRequestID adds the ID of the JSON-RPC request to an error response, if there is one.
func (x *gatewayRequest) withRequestID(r *docsgpt.Error) *docsgpt.Error {
	if x.call.ID == nil || r.ID != nil {
		return r
	}
	with := *r
	with.ID = x.call.ID
	return &with
}

// beginMCP handles the header of a response to an MCP client. It records the owner of a new session before the client gets
// the session ID, and forgets a session that has ended. Session IDs of error responses are removed.
func (res *response) beginMCP() {
	x := res.x
	if x.endpoint.Group != docsgpt.GroupMCP {
		return
	}
	ok := res.status >= 200 && res.status <= 299
	if x.endpoint.Method == http.MethodDelete && ok || res.status == http.StatusNotFound {
		x.handler.app.State().Ownership.Forget(ownership.Session, x.session)
	}
	switch id := res.header.Get(docsgpt.HeaderSession); {
	case ok && x.call.IsInitialize():
		x.recordOwnership(ownership.Session, id)
	case id != x.session:
		res.header.Del(docsgpt.HeaderSession)
	}
	if x.call.ID != nil {
		res.filter.OnEvent = func(event []byte) []byte {
			res.replied = res.replied || docsgpt.IsResponse(event)
			apiErr, out := docsgpt.TranslateEvent(event)
			res.handleMCPError(apiErr)
			return out
		}
	}
}

// inspectMCPBody translates a buffered response to an MCP client.
func (res *response) inspectMCPBody() {
	if res.x.call.ID != nil {
		var apiErr *docsgpt.Error
		apiErr, res.out = docsgpt.TranslateMessage(res.out)
		res.handleMCPError(apiErr)
	}
}

// handleMCPError logs an error that DocsGPT returned as a JSON-RPC message; nil: there is none.
func (res *response) handleMCPError(apiErr *docsgpt.Error) {
	if apiErr == nil {
		return
	}
	res.x.logUpstreamError(apiErr, res.status, nil)
	if res.x.call.IsInitialize() {
		res.x.handler.app.State().Ownership.Forget(ownership.Session, res.header.Get(docsgpt.HeaderSession))
	}
}
