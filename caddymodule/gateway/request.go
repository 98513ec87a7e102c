package gateway

import (
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/revocation"
	"github.com/docsgate/docsgate/ratelimit"
	"github.com/docsgate/docsgate/upstream"
)

// gatewayRequest is the memory of one request: a single allocation for the results of the stages that are too large to copy,
// or that must be released. Stages get what they need as arguments.
type gatewayRequest struct {
	client client
	body   requestBody
	up     upstreamRequest
	slot   slot
	stream ratelimit.Slot
	quota  *questionQuota // nil: the request is not a question of a key with quotas
	usage  requestUsage
	writer nextResponseWriter // contains the response
}

// serve runs the stages, or responds itself to OPTIONS.
func (x *gatewayRequest) serve(next caddyhttp.Handler) {
	c := &x.client
	route, e, apiErr := c.handler.match(c.r)
	c.endpoint, c.trace = e, traceOf(c.r)
	defer x.observe()
	defer c.trace.end(c)
	defer x.recordUsage()
	defer x.endQuota()
	defer x.stream.Release()
	defer x.slot.release()
	defer x.body.release()
	c.addCORS()
	c.setRequestID()
	switch {
	case route == nil && isOpenAIPreflight(c.r, e):
		c.serveOptions(anyMethod)
		return
	case apiErr != nil:
		if route != nil {
			c.w.Header().Set("Allow", route.Methods())
		}
		x.reject(apiErr)
		return
	case c.r.Method == http.MethodOptions:
		c.serveOptions(route.Methods())
		return
	case !c.track():
		x.reject(errShuttingDown)
		return
	}
	defer c.untrack()
	defer x.writer.response.stream.stop()
	head, auth, access, apiErr := x.prepare()
	if apiErr != nil {
		if lifecycle.Requests.Cause(&c.tracked) != nil {
			apiErr = errShuttingDown // the shutdown has interrupted reading the body
		}
		x.reject(apiErr)
		return
	}
	x.usage.question, x.usage.dislike = isQuestion(c.endpoint, &access), x.body.json.Dislikes()
	if reply := access.call.Reply(); reply != nil {
		x.countUse(auth)
		c.writeReply(reply)
		return
	}
	if !c.startForwarding() {
		x.reject(errShuttingDown)
		return
	}
	if !c.watchKey(auth) {
		x.reject(errKeyRevoked)
		return
	}
	if x.quota != nil { // before the request waits for a slot
		if apiErr := x.reserveQuota(auth.Key); apiErr != nil {
			x.reject(apiErr)
			return
		}
	}
	if apiErr := x.takeSlot(auth.Key, &access); apiErr != nil {
		x.reject(apiErr)
		return
	}
	if x.up, apiErr = c.rewrite(route, &head, &x.body, auth.Key, access); apiErr != nil {
		x.reject(apiErr)
		return
	}
	x.countUse(auth)
	if x.up.body != nil {
		x.usage.size = x.up.body.Len()
	}
	x.forward(&x.up, auth, access, next)
}

// countUse counts an allowed request.
func (x *gatewayRequest) countUse(auth authentication) {
	c := &x.client
	c.endpoint.allowed.Inc()
	c.trace.decided(decisionAllowed)
	x.usage.allowed = true
	if auth.Key != nil {
		c.handler.backend.State().Usage.Count(auth.Key.ID, auth.UsedPreviousToken, c.started)
	}
}

// prepare runs the stages that may reject the request because of what the client has sent. The first error ends the request.
func (x *gatewayRequest) prepare() (head requestHead, auth authentication, access authorization, apiErr *apiError) {
	c, body := &x.client, &x.body
	if head, apiErr = parseHead(c.r, c.endpoint); apiErr != nil {
		return head, auth, access, apiErr
	}
	token := head.token
	if t := c.endpoint.Token; t == docsgpt.TokenBearer || t == docsgpt.TokenQuery {
		// Before the body is read, which an invalid token should not cost.
		if auth, apiErr = c.authenticate(token); apiErr != nil {
			return head, auth, access, apiErr
		}
	}
	switch c.endpoint.Body {
	case docsgpt.BodyJSON:
		if apiErr = body.readJSON(c, auth.Key); apiErr == nil && c.endpoint.Token == docsgpt.TokenBody {
			token, _ = body.json.Token()
		}
	case docsgpt.BodyForm:
		auth, apiErr = body.readForm(c, &head)
	case docsgpt.BodyNone:
	}
	if apiErr == nil && auth.Key == nil && c.endpoint.Token != docsgpt.TokenNone {
		auth, apiErr = c.authenticate(token)
	}
	if apiErr != nil {
		return head, auth, access, apiErr
	}
	if access, apiErr = c.authorize(&head, body, auth.Key); apiErr == nil && auth.Key != nil {
		apiErr = x.limit(auth.Key, &access)
	}
	return head, auth, access, apiErr
}

// forward sends the request to DocsGPT and relays the response: to each source of a search, over the built-in upstream
// connections, or to the next handler.
func (x *gatewayRequest) forward(up *upstreamRequest, auth authentication, access authorization, next caddyhttp.Handler) {
	c, h := &x.client, x.client.handler
	res := &x.writer.response
	c.trace.startUpstream(c.endpoint, h.server, up)
	defer c.trace.endUpstream(res)
	if up.sources != nil {
		c.searchSources(up, &x.slot, next)
		return
	}
	res.client, res.slot, res.key, res.authorization = c, &x.slot, auth.Key, access
	res.item = up.item
	if x.quota != nil {
		res.quota = x.quota
		x.quota.forwarded = true
	}
	res.question = x.usage.question
	res.rejectTools = h.rejectsTools(c.endpoint, auth.Key)
	if x.expectsStream() {
		res.stream.start(c, h.sseKeepalive(), true)
	}
	c.messageWait.arm()
	if h.upstream == nil {
		x.cancelAbandoned(x.serveNext(up, next), next)
		return
	}
	if up.body != nil {
		x.body.moved() // the upstream releases it
	}
	addProxyHeaders(up.header, &c.upstreamValues, c.r)
	resp, err := h.upstream.Send(c.ctx, c.stop, upstream.Request{
		Method: up.method, Path: up.path, Query: up.rawQuery, Header: up.header, Body: up.body,
	})
	if err == nil {
		defer resp.Body.Close()
		res.pulled = upstream.KnowsArrival(resp.Body)
		res.writeHeader(resp.StatusCode, resp.Header)
		err = upstream.Copy(c.ctx, c.stop, resp.Body, h.upstream.IdleTimeout(), res)
	}
	res.close(err)
	x.cancelAbandoned(err, next)
}

// expectsStream reports whether the client has asked for a stream, so that a keepalive may begin the response.
func (x *gatewayRequest) expectsStream() bool {
	return x.client.endpoint.Relay == docsgpt.RelayEvents || x.body.json.Streams()
}

// authentication is the result of verifying a token. It is zero, without a key, if the endpoint takes none.
type authentication struct {
	keys.Decision
	keysVersion revocation.Version // before the decision
}

// authenticate verifies a token, and that the policy of its key allows the client to use it here.
func (c *client) authenticate(token string) (authentication, *apiError) {
	start := time.Now()
	state := c.handler.backend.State()
	version := revocation.VersionOf(state.Store)
	decision := c.verify(token, start)
	c.handler.state.verifySeconds.Observe(time.Since(start).Seconds())
	if c.key = decision.Key; c.key != nil {
		c.setPlaceholders(c.key)
		c.restrictCORS(c.key)
	}
	c.signed = decision.Visitor
	if !decision.Allowed() {
		if apiErr := c.countFailedToken(decision.Reason); apiErr != nil {
			return authentication{}, apiErr
		}
		return authentication{}, c.errorForToken(decision.Reason, token)
	}
	if c.handler.LearnOrigins {
		c.learnOrigin(decision.Key)
	}
	if apiErr := c.checkPolicy(&decision); apiErr != nil {
		return authentication{}, apiErr
	}
	return authentication{decision, version}, nil
}

// authorization is what the group's part of authorize has found in the request. It is zero for most groups.
type authorization struct {
	call    docsgpt.Request // MCP
	session string          // MCP session of the key, DocsGPT's ID; "": none
	task    *statusTask     // task whose status a client without a key requests; nil: none
}

// authorize checks whether the key may make this request. key is nil if the endpoint takes no token.
func (c *client) authorize(head *requestHead, body *requestBody, key *keys.Key) (access authorization, apiErr *apiError) {
	if key != nil {
		if apiErr := c.authorizeKey(head, body, key); apiErr != nil {
			return access, apiErr
		}
	}
	if authorize := c.endpoint.group.authorize; authorize != nil {
		return authorize(c, *head, body, key)
	}
	return access, nil
}

// authorizeKey checks that the key's binding is supported, that the body is valid for it, and that the key owns the resources
// that the request refers to.
func (c *client) authorizeKey(head *requestHead, body *requestBody, key *keys.Key) *apiError {
	e := c.endpoint
	supported := e.Agents
	if key.Binding.Kind() == keys.SourceBinding {
		supported = e.Sources
		if c.handler.backend.Version().Accounts && c.handler.backend.Credential().IsZero() {
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
	var err error
	switch {
	case e.Body == docsgpt.BodyJSON:
		err = body.json.Check(e.Endpoint)
	case body.form != nil:
		err = body.form.Check()
	}
	if err != nil {
		return badRequest(err)
	}
	return c.authorizeResources(e, head, body, key)
}
