package caddymodule

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/inflight"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy/quota"
	"github.com/docsgate/docsgate/upstream"
)

// gatewayRequest is one request on its way through the gate. It goes through the steps in serve, in that order, and never
// back; each step leaves in it what the following ones need.
type gatewayRequest struct {
	handler *Handler
	w       http.ResponseWriter // client
	client  clientWriter
	r       *http.Request
	next    caddyhttp.Handler
	begun   time.Time
	id      string // see requestID

	resource  *docsgpt.Route     // route; nil for an unknown path
	endpoint  *docsgpt.Endpoint  // route
	query     docsgpt.Query      // read
	body      docsgpt.Body       // read; refers to buffer
	buffer    *upstream.Buffer   // read; nil where the endpoint has no body
	upload    *upload            // read; nil where the body is no form
	received  quota.Body         // read; what the body uses
	token     string             // read
	key       *keys.Key          // identify; nil where the endpoint takes no token
	oldToken  bool               // identify; the token is one that another has replaced
	call      docsgpt.Request    // authorizeMCP; zero elsewhere
	session   string             // authorizeMCP; the client's, which is its key's own
	header    http.Header        // rewrite
	rawQuery  string             // rewrite
	slot      inflight.Slot      // takeSlot
	abandoned bool               // forward, or hand: DocsGPT may still work on what the gate has ended
	handed    nextResponseWriter // forward, or hand

	tracked tracked                 // track
	ctx     context.Context         //nolint:containedctx // of the upstream request; startForwarding
	stop    context.CancelCauseFunc // ends ctx
	unwatch func() bool             // startForwarding; may be nil
}

func (x *gatewayRequest) serve() {
	defer func() { x.meters().duration.Observe(time.Since(x.begun).Seconds()) }()
	defer x.releaseSlot()
	defer x.release()
	addCORS(x.w.Header())
	if no := x.route(); no != nil {
		x.writeError(no)
		return
	}
	if x.r.Method == http.MethodOptions {
		answerOptions(x.w, x.r, x.resource.Methods())
		return
	}
	if no := x.track(); no != nil {
		x.writeError(no)
		return
	}
	defer x.untrack()
	for _, step := range pipeline {
		if no := step(x); no != nil {
			x.writeError(x.whyRejected(no))
			return
		}
	}
	if no := x.startForwarding(); no != nil {
		x.writeError(no)
		return
	}
	if no := x.takeSlot(); no != nil {
		x.writeError(no)
		return
	}
	x.meters().allowed.Inc()
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

// pipeline are what is done with a request between finding its endpoint and sending it to DocsGPT. The first refusal
// ends it.
var pipeline = [...]func(*gatewayRequest) *apiError{
	(*gatewayRequest).parseHead,
	(*gatewayRequest).authenticateByHead,
	(*gatewayRequest).parseBody,
	(*gatewayRequest).authenticate,
	(*gatewayRequest).authorize,
	(*gatewayRequest).authorizeMCP,
	(*gatewayRequest).rewrite,
}

// route finds the endpoint by the decoded path in its canonical form, which is also what is forwarded.
func (x *gatewayRequest) route() *apiError {
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

// authenticateByHead finds the key where the token is not in the body, so that a bad one costs no byte of the body.
func (x *gatewayRequest) authenticateByHead() *apiError {
	if e := x.endpoint; e.Token != docsgpt.PlaceBearer && e.Token != docsgpt.PlaceQuery {
		return nil
	}
	return x.authenticate()
}

// authenticate finds the key, unless it is known already. What the body uses counts as the key's from then on.
func (x *gatewayRequest) authenticate() *apiError {
	if x.endpoint.Token == docsgpt.TokenNone || x.key != nil {
		return nil
	}
	start := time.Now()
	decision := x.handler.app.state.verifier.Verify(x.token, start)
	verifySeconds.Observe(time.Since(start).Seconds())
	x.key, x.oldToken, x.token = decision.Key, decision.UsedPreviousToken, ""
	if x.key != nil {
		x.setPlaceholders()
	}
	if !decision.Allowed() {
		return errorForReason(decision.Reason)
	}
	if x.upload != nil {
		if err := x.received.Own(x.key.ID); err != nil {
			return x.bodyError(err)
		}
	}
	return nil
}

// authorize tells whether this key may make this request.
func (x *gatewayRequest) authorize() *apiError {
	if x.key == nil {
		return x.authorizeTask()
	}
	e := x.endpoint
	works := e.Agents
	if x.key.Binding.Kind() == keys.SourceBinding {
		works = e.Sources
		if x.handler.app.version.Accounts && x.handler.app.token.IsZero() {
			return errNotConfigured
		}
	}
	if !works {
		code := "binding_not_supported"
		if !e.Agents && !e.Sources {
			code = "not_supported" // another binding would not help
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

// recordUsage notes that the key was used.
func (x *gatewayRequest) recordUsage() {
	if x.key != nil {
		x.handler.app.state.usage.Count(x.key.ID, x.oldToken, x.begun)
	}
}

func (x *gatewayRequest) release() {
	if x.buffer != nil {
		x.buffer.Release()
		x.buffer = nil
	}
	if x.upload != nil {
		x.upload.release()
	}
	_ = x.received.End() // that it was stopped matters only while it is read
}

// forward sends the request over the gate's own connections and relays the answer.
func (x *gatewayRequest) forward() {
	completeHeader(x.header, x.r)
	up := x.handler.upstream
	request := upstream.Request{Method: x.endpoint.Method, Path: x.resource.Path, Query: x.rawQuery, Header: x.header}
	if x.buffer != nil {
		request.Body, x.buffer = x.buffer, nil
	}
	if x.upload != nil {
		request.Body = x.upload.moveBody()
	}
	resp, err := up.Send(x.ctx, x.stop, request)
	a := &x.handed.answer
	a.x = x
	if err != nil {
		a.close(err)
		return
	}
	defer resp.Body.Close()
	if err = a.writeHeader(resp.StatusCode, resp.Header); err == nil {
		err = upstream.Copy(x.ctx, x.stop, resp.Body, up.IdleTimeout(), a.onChunk)
	}
	a.close(err)
}

// setPlaceholders offers the key to placeholders. {http.auth.user.id} is what Caddy's access log prints as user_id.
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

func (x *gatewayRequest) meters() endpointMetrics { return x.handler.meters[x.endpointName()] }
