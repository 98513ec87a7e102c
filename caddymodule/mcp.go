package caddymodule

import (
	"net/http"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/ownership"
)

// authorizeMCP tells whether a message of an MCP client may go on: what it asks for, and in whose session. DocsGPT lets
// anybody list its tools, and go on with or end the session of anybody.
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
		if no := x.body.CheckCall(&x.call); no != nil {
			return &apiError{Error: *no}
		}
	}
	return nil
}

// oauthRegisterPath is where MCP clients that can sign in, and whose key was refused, look for OAuth in the end. They show what
// they are told there, in place of why they were refused.
const oauthRegisterPath = "/register"

var (
	oauthErrorEndpoint = &docsgpt.Endpoint{Name: "none", Shape: docsgpt.ShapeOAuth}
	errNoOAuth         = newError(http.StatusNotFound, "not_found",
		"There is nothing to sign in to here. Send a valid API key in the header Authorization, as Bearer.")
)

// notFoundError refuses a path that is not served.
func (x *gatewayRequest) notFoundError() *apiError {
	if x.r.URL.Path == oauthRegisterPath && x.handler.routes.Find("/mcp/") != nil {
		x.endpoint = oauthErrorEndpoint
		return errNoOAuth
	}
	return notFound
}

// withRequestID tells a refusal which JSON-RPC request it answers, if one is known.
func (x *gatewayRequest) withRequestID(r *docsgpt.Error) *docsgpt.Error {
	if x.call.ID == nil || r.ID != nil {
		return r
	}
	with := *r
	with.ID = x.call.ID
	return &with
}

// beginMCP looks at the head of DocsGPT's answer to an MCP client. A session belongs to the key that opened it, from
// before the client learns of it until it is over. DocsGPT hands out ids with errors, too: those are nobody's.
func (a *response) beginMCP() {
	x := a.x
	if x.endpoint.Group != docsgpt.GroupMCP {
		return
	}
	ok := a.status >= 200 && a.status <= 299
	if x.endpoint.Method == http.MethodDelete && ok || a.status == http.StatusNotFound {
		x.handler.app.state.belongings.Forget(ownership.Session, x.session)
	}
	switch id := a.header.Get(docsgpt.HeaderSession); {
	case ok && x.call.IsInitialize():
		x.recordOwnership(ownership.Session, id)
	case id != x.session:
		a.header.Del(docsgpt.HeaderSession)
	}
	if x.call.ID != nil {
		a.filter.OnEvent = func(event []byte) []byte {
			a.replied = a.replied || docsgpt.IsResponse(event)
			no, out := docsgpt.TranslateEvent(event)
			a.handleMCPError(no)
			return out
		}
	}
}

// inspectMCPBody looks at an answer to an MCP client that is no stream.
func (a *response) inspectMCPBody() {
	if a.x.call.ID != nil {
		var no *docsgpt.Error
		no, a.out = docsgpt.TranslateMessage(a.out)
		a.handleMCPError(no)
	}
}

// handleMCPError notes what DocsGPT said in place of what was asked for; nil: nothing.
func (a *response) handleMCPError(no *docsgpt.Error) {
	if no == nil {
		return
	}
	a.x.logUpstreamError(no, a.status, nil)
	if a.x.call.IsInitialize() {
		a.x.handler.app.state.belongings.Forget(ownership.Session, a.header.Get(docsgpt.HeaderSession))
	}
}
