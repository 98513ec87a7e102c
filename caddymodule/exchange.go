package caddymodule

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/forward"
	"github.com/docsgate/docsgate/inflight"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy/quota"
)

// exchange is one request on its way through the gate. It goes through the steps in serve, in that order, and never
// back; each step leaves in it what the following ones need.
type exchange struct {
	handler *Handler
	w       http.ResponseWriter // client
	client  clientWriter
	r       *http.Request
	next    caddyhttp.Handler
	begun   time.Time
	id      string // see requestID

	resource  *docsgpt.Resource // route; nil for an unknown path
	endpoint  *docsgpt.Endpoint // route
	query     docsgpt.Query     // read
	body      docsgpt.Body      // read; refers to buffer
	buffer    *forward.Buffer   // read; nil where the endpoint has no body
	upload    *upload           // read; nil where the body is no form
	received  quota.Body        // read; what the body uses
	token     string            // read
	key       *keys.Key         // identify; nil where the endpoint takes no token
	oldToken  bool              // identify; the token is one that another has replaced
	call      docsgpt.Call      // decideMCP; zero elsewhere
	session   string            // decideMCP; the client's, which is its key's own
	header    http.Header       // rewrite
	rawQuery  string            // rewrite
	slot      inflight.Slot     // takeSlot
	abandoned bool              // forward, or hand: DocsGPT may still work on what the gate has ended
	handed    handed            // forward, or hand

	tracked tracked                 // track
	ctx     context.Context         //nolint:containedctx // of the upstream request; startForwarding
	stop    context.CancelCauseFunc // ends ctx
	unwatch func() bool             // startForwarding; may be nil
}

func (x *exchange) serve() {
	defer func() { x.meters().duration.Observe(time.Since(x.begun).Seconds()) }()
	defer x.releaseSlot()
	defer x.release()
	addCORS(x.w.Header())
	if no := x.route(); no != nil {
		x.refuse(no)
		return
	}
	if x.r.Method == http.MethodOptions {
		answerOptions(x.w, x.r, x.resource.Methods())
		return
	}
	if no := x.track(); no != nil {
		x.refuse(no)
		return
	}
	defer x.untrack()
	for _, step := range steps {
		if no := step(x); no != nil {
			x.refuse(x.whyRejected(no))
			return
		}
	}
	if no := x.startForwarding(); no != nil {
		x.refuse(no)
		return
	}
	if no := x.takeSlot(); no != nil {
		x.refuse(no)
		return
	}
	x.meters().allowed.Inc()
	x.countUse()
	switch {
	case x.eachSource():
		x.searchSources()
	case x.handler.upstream != nil:
		x.forward()
	default:
		x.hand()
	}
}

// steps are what is done with a request between finding its endpoint and sending it to DocsGPT. The first refusal
// ends it.
var steps = [...]func(*exchange) *refusal{
	(*exchange).readHead,
	(*exchange).identifyByHead,
	(*exchange).readBody,
	(*exchange).identify,
	(*exchange).decide,
	(*exchange).decideMCP,
	(*exchange).rewrite,
}

// route finds the endpoint by the decoded path in its canonical form, which is also what is forwarded.
func (x *exchange) route() *refusal {
	x.resource = x.handler.routes.Find(x.r.URL.Path)
	if x.resource == nil {
		return x.nothingHere()
	}
	x.endpoint = x.resource.Endpoint(x.r.Method)
	if x.endpoint != nil {
		return nil
	}
	x.endpoint = x.resource.First()
	if x.r.Method == http.MethodOptions {
		return nil
	}
	x.w.Header().Set("Allow", x.resource.Methods())
	return wrongMethod
}

// identifyByHead finds the key where the token is not in the body, so that a bad one costs no byte of the body.
func (x *exchange) identifyByHead() *refusal {
	if e := x.endpoint; e.Token != docsgpt.PlaceBearer && e.Token != docsgpt.PlaceQuery {
		return nil
	}
	return x.identify()
}

// identify finds the key, unless it is known already. What the body uses counts as the key's from then on.
func (x *exchange) identify() *refusal {
	if x.endpoint.Token == docsgpt.PlaceNone || x.key != nil {
		return nil
	}
	start := time.Now()
	decision := x.handler.app.state.verifier.Verify(x.token, start)
	verifySeconds.Observe(time.Since(start).Seconds())
	x.key, x.oldToken, x.token = decision.Key, decision.Old, ""
	if x.key != nil {
		x.showKey()
	}
	if !decision.Allowed() {
		return refusalOf(decision.Reason)
	}
	if x.upload != nil {
		if err := x.received.Own(x.key.ID); err != nil {
			return x.notReceived(err)
		}
	}
	return nil
}

// decide tells whether this key may make this request.
func (x *exchange) decide() *refusal {
	if x.key == nil {
		return x.decideTask()
	}
	e := x.endpoint
	works := e.Agents
	if x.key.Binding.Kind() == keys.SourceBinding {
		works = e.Sources
		if x.handler.app.version.Accounts && x.handler.app.token.IsZero() {
			return noCredential
		}
	}
	if !works {
		code := "binding_not_supported"
		if !e.Agents && !e.Sources {
			code = "not_supported" // another binding would not help
		}
		return refuseWith(http.StatusForbidden, code, e.Refused)
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
	return x.decideBelongings()
}

// countUse notes that the key was used.
func (x *exchange) countUse() {
	if x.key != nil {
		x.handler.app.state.usage.Count(x.key.ID, x.oldToken, x.begun)
	}
}

func (x *exchange) release() {
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
func (x *exchange) forward() {
	completeHeader(x.header, x.r)
	up := x.handler.upstream
	request := forward.Request{Method: x.endpoint.Method, Path: x.resource.Path, Query: x.rawQuery, Header: x.header}
	if x.buffer != nil {
		request.Body, x.buffer = x.buffer, nil
	}
	if x.upload != nil {
		request.Body = x.upload.take()
	}
	resp, err := up.Send(x.ctx, x.stop, request)
	a := &x.handed.answer
	a.x = x
	if err != nil {
		a.finish(err)
		return
	}
	defer resp.Body.Close()
	if err = a.begin(resp.StatusCode, resp.Header); err == nil {
		err = forward.Relay(x.ctx, x.stop, resp.Body, up.IdleTimeout(), a.write)
	}
	a.finish(err)
}

// showKey offers the key to placeholders. {http.auth.user.id} is what Caddy's access log prints as user_id.
func (x *exchange) showKey() {
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

func (x *exchange) endpointName() string {
	if x.endpoint == nil {
		return "none"
	}
	return x.endpoint.Name
}

func (x *exchange) meters() meters { return x.handler.meters[x.endpointName()] }
