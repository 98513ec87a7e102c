package gateway

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/inflight"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy/quota"
	"github.com/docsgate/docsgate/upstream"
)

// gatewayRequest is the state of one request. The stages in serve run once, in that order; each stage sets the fields that
// later stages need. The comment of a field names the stage that sets it.
type gatewayRequest struct {
	handler *Handler
	w       http.ResponseWriter // client
	client  lifecycle.ClientWriter
	r       *http.Request
	next    caddyhttp.Handler
	started time.Time
	id      string // see requestID

	resource          *docsgpt.Route     // matchRoute; nil for an unknown path
	endpoint          *docsgpt.Endpoint  // matchRoute
	query             docsgpt.Query      // parseHead
	body              docsgpt.Body       // parseBody; refers to buffer
	buffer            *upstream.Buffer   // parseBody; nil if the endpoint has no JSON body
	upload            *upload            // parseBody; nil if the body is not a form
	bodyQuota         quota.Body         // parseBody; memory and disk that the body uses
	token             string             // parseHead or parseBody
	key               *keys.Key          // authenticate; nil if the endpoint takes no token
	usedPreviousToken bool               // authenticate; the token was rotated and is in its grace period
	call              docsgpt.Request    // authorizeMCP; zero elsewhere
	session           string             // authorizeMCP; the MCP session, owned by the key
	header            http.Header        // rewrite
	rawQuery          string             // rewrite
	slot              inflight.Slot      // takeSlot
	abandoned         bool               // forward or serveNext; DocsGPT may still work on the request after the gate ended it
	nextWriter        nextResponseWriter // forward or serveNext

	tracked lifecycle.Request       // track
	ctx     context.Context         //nolint:containedctx // context of the upstream request; startForwarding
	stop    context.CancelCauseFunc // cancels ctx
	unwatch func() bool             // startForwarding; may be nil
}

func (x *gatewayRequest) serve() {
	defer func() { x.metrics().duration.Observe(time.Since(x.started).Seconds()) }()
	defer x.releaseSlot()
	defer x.release()
	addCORS(x.w.Header())
	if apiErr := x.matchRoute(); apiErr != nil {
		x.writeError(apiErr)
		return
	}
	if x.r.Method == http.MethodOptions {
		serveOptions(x.w, x.r, x.resource.Methods())
		return
	}
	if apiErr := x.track(); apiErr != nil {
		x.writeError(apiErr)
		return
	}
	defer x.untrack()
	for _, step := range pipeline {
		if apiErr := step(x); apiErr != nil {
			x.writeError(x.rejectionCause(apiErr))
			return
		}
	}
	if apiErr := x.startForwarding(); apiErr != nil {
		x.writeError(apiErr)
		return
	}
	if apiErr := x.takeSlot(); apiErr != nil {
		x.writeError(apiErr)
		return
	}
	x.metrics().allowed.Inc()
	x.recordUsage()
	switch {
	case x.isFanOut():
		x.searchSources()
	case x.handler.upstream != nil:
		x.forward()
	default:
		x.serveNext()
	}
}

// pipeline is the list of stages between finding the endpoint and forwarding. The first stage that returns an error ends
// the request.
var pipeline = [...]func(*gatewayRequest) *apiError{
	(*gatewayRequest).parseHead,
	(*gatewayRequest).authenticateBeforeBody,
	(*gatewayRequest).parseBody,
	(*gatewayRequest).authenticate,
	(*gatewayRequest).authorize,
	(*gatewayRequest).authorizeMCP,
	(*gatewayRequest).rewrite,
}

// matchRoute finds the endpoint by the decoded, canonical path. The same path is forwarded.
func (x *gatewayRequest) matchRoute() *apiError {
	x.resource = x.handler.routes.Find(x.r.URL.Path)
	if x.resource == nil {
		return x.notFoundError()
	}
	x.endpoint = x.resource.Endpoint(x.r.Method)
	if x.endpoint != nil {
		return nil
	}
	x.endpoint = x.resource.DefaultEndpoint()
	if x.r.Method == http.MethodOptions {
		return nil
	}
	x.w.Header().Set("Allow", x.resource.Methods())
	return errMethodNotAllowed
}

// authenticateBeforeBody authenticates requests whose token is in the header or the query, so that a request with an
// invalid token is rejected before its body is read.
func (x *gatewayRequest) authenticateBeforeBody() *apiError {
	if e := x.endpoint; e.Token != docsgpt.TokenBearer && e.Token != docsgpt.TokenQuery {
		return nil
	}
	return x.authenticate()
}

// authenticate verifies the token, unless that is already done. From then on the body counts toward the key's quota.
func (x *gatewayRequest) authenticate() *apiError {
	if x.endpoint.Token == docsgpt.TokenNone || x.key != nil {
		return nil
	}
	start := time.Now()
	decision := x.handler.app.State().Verifier.Verify(x.token, start)
	verifySeconds.Observe(time.Since(start).Seconds())
	x.key, x.usedPreviousToken, x.token = decision.Key, decision.UsedPreviousToken, ""
	if x.key != nil {
		x.setPlaceholders()
	}
	if !decision.Allowed() {
		return errorForReason(decision.Reason)
	}
	if x.upload != nil {
		if err := x.bodyQuota.Own(x.key.ID); err != nil {
			return x.bodyError(err)
		}
	}
	return nil
}

// authorize checks whether the key may make this request.
func (x *gatewayRequest) authorize() *apiError {
	if x.key == nil {
		return x.authorizeTask()
	}
	e := x.endpoint
	supported := e.Agents
	if x.key.Binding.Kind() == keys.SourceBinding {
		supported = e.Sources
		if x.handler.app.Version().Accounts && x.handler.app.Credential().IsZero() {
			return errNotConfigured
		}
	}
	if !supported {
		code := "binding_not_supported"
		if !e.Agents && !e.Sources {
			code = "not_supported" // with any binding
		}
		return newError(http.StatusForbidden, code, e.UnsupportedMessage)
	}
	if e.Body == docsgpt.BodyJSON {
		if err := x.body.Check(e); err != nil {
			return badRequest(err)
		}
	}
	if x.upload != nil {
		if err := x.upload.form.Check(); err != nil {
			return badRequest(err)
		}
	}
	return x.authorizeResources()
}

// recordUsage counts the use of the key.
func (x *gatewayRequest) recordUsage() {
	if x.key != nil {
		x.handler.app.State().Usage.Count(x.key.ID, x.usedPreviousToken, x.started)
	}
}

// release frees the memory and the disk space of the body. It may be called several times.
// release frees the memory and the disk space of the body. It may be called several times.
func (x *gatewayRequest) release() {
	if x.buffer != nil {
		x.buffer.Release()
		x.buffer = nil
	}
	if x.upload != nil {
		x.upload.release()
	}
	_ = x.bodyQuota.End() // the error matters only while the body is read
}

// forward sends the request over the built-in upstream connections and relays the response.
func (x *gatewayRequest) forward() {
	addProxyHeaders(x.header, x.r)
	up := x.handler.upstream
	request := upstream.Request{Method: x.endpoint.Method, Path: x.resource.Path, Query: x.rawQuery, Header: x.header}
	if x.buffer != nil {
		request.Body, x.buffer = x.buffer, nil
	}
	if x.upload != nil {
		request.Body = x.upload.moveBody()
	}
	resp, err := up.Send(x.ctx, x.stop, request)
	res := &x.nextWriter.response
	res.x = x
	if err != nil {
		res.close(err)
		return
	}
	defer resp.Body.Close()
	if err = res.writeHeader(resp.StatusCode, resp.Header); err == nil {
		err = upstream.Copy(x.ctx, x.stop, resp.Body, up.IdleTimeout(), res.onChunk)
	}
	res.close(err)
}

// setPlaceholders sets the placeholders of the key. Caddy's access log prints {http.auth.user.id} as user_id.
func (x *gatewayRequest) setPlaceholders() {
	repl, ok := x.r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	key := x.key
	repl.Map(func(name string) (any, bool) {
		switch name {
		case "http.auth.user.id", "docsgate.key.id":
			return key.ID, true
		case "docsgate.key.name":
			return key.Name, true
		case "docsgate.source":
			return strings.Join(key.Binding.Sources, ","), true
		}
		return nil, false
	})
}

func (x *gatewayRequest) endpointName() string {
	if x.endpoint == nil {
		return "none"
	}
	return x.endpoint.Name
}

func (x *gatewayRequest) metrics() endpointMetrics { return x.handler.metrics[x.endpointName()] }
