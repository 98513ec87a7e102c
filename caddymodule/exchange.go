package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/forward"
	"github.com/docsgate/docsgate/keys"
)

// exchange is one request on its way through the gate. It goes through the steps in serve, in that order, and never
// back; each step leaves in it what the following ones need.
type exchange struct {
	handler *Handler
	w       http.ResponseWriter
	r       *http.Request
	next    caddyhttp.Handler
	begun   time.Time

	endpoint *docsgpt.Endpoint // route
	body     docsgpt.Body      // read; refers to buffer
	buffer   *forward.Buffer   // read; nil where the endpoint has no body
	token    string            // read
	key      *keys.Key         // identify; nil where the endpoint takes no token
	header   http.Header       // rewrite
}

func (x *exchange) serve() {
	defer func() { x.meters().duration.Observe(time.Since(x.begun).Seconds()) }()
	defer x.release()
	addCORS(x.w.Header())
	if no := x.route(); no != nil {
		x.refuse(no)
		return
	}
	if x.r.Method == http.MethodOptions {
		answerOptions(x.w, x.r, x.endpoint.Method)
		return
	}
	for _, step := range steps {
		if no := step(x); no != nil {
			x.refuse(no)
			return
		}
	}
	x.meters().allowed.Inc()
	if x.handler.upstream != nil {
		x.forward()
	} else {
		x.hand()
	}
}

// steps are what is done with a request between finding its endpoint and sending it to DocsGPT. The first refusal
// ends it.
var steps = [...]func(*exchange) *refusal{
	(*exchange).read,
	(*exchange).identify,
	(*exchange).decide,
	(*exchange).rewrite,
}

// route finds the endpoint by the decoded path in its canonical form, which is also what is forwarded.
func (x *exchange) route() *refusal {
	x.endpoint = x.handler.routes.Find(x.r.URL.Path)
	switch {
	case x.endpoint == nil:
		return notFound
	case x.r.Method != x.endpoint.Method && x.r.Method != http.MethodOptions:
		x.w.Header().Set("Allow", x.endpoint.Method+", OPTIONS")
		return wrongMethod
	}
	return nil
}

// read reads and parses the body, and finds the client's token.
func (x *exchange) read() *refusal {
	e := x.endpoint
	if e.Token == docsgpt.PlaceBearer {
		x.token, _ = docsgpt.BearerToken(x.r.Header)
	}
	if e.Members == nil {
		return nil
	}
	if !docsgpt.JSONType(x.r.Header) || !plainEncoding(x.r.Header) {
		return notJSON
	}
	buffer, err := forward.ReadBody(x.r.Body, x.r.ContentLength, x.handler.MaxBody, docsgpt.BodySlack)
	switch {
	case errors.Is(err, forward.ErrTooLarge) || isBodyLimit(err):
		return tooLarge
	case err != nil:
		return unreadable
	}
	x.buffer = buffer
	if err := x.body.Parse(e, buffer.Bytes); err != nil {
		return badRequest(err)
	}
	if e.Token == docsgpt.PlaceBody {
		x.token, _ = x.body.Token()
	}
	return nil
}

// plainEncoding tells whether the body is sent as it is. DocsGPT ignores the header and would read other bytes than
// the gate.
func plainEncoding(h http.Header) bool {
	values := h["Content-Encoding"]
	return len(values) == 0 || len(values) == 1 && strings.EqualFold(values[0], "identity")
}

// isBodyLimit tells whether Caddy's request_body directive limited the body.
func isBodyLimit(err error) bool {
	var limit *http.MaxBytesError
	return errors.As(err, &limit)
}

// identify finds the key.
func (x *exchange) identify() *refusal {
	if x.endpoint.Token == docsgpt.PlaceNone {
		return nil
	}
	start := time.Now()
	decision := x.handler.app.state.verifier.Verify(x.token, start)
	verifySeconds.Observe(time.Since(start).Seconds())
	x.key, x.token = decision.Key, ""
	if x.key != nil {
		x.showKey()
	}
	if !decision.Allowed() {
		return refusalOf(decision.Reason)
	}
	return nil
}

// decide tells whether this key may make this request.
func (x *exchange) decide() *refusal {
	if x.key == nil {
		return nil
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
		return &refusal{Refusal: docsgpt.Refusal{
			Status: http.StatusForbidden, Code: "binding_not_supported", Message: e.Refused,
		}}
	}
	if e.Members == nil {
		return nil
	}
	if err := x.body.Check(e); err != nil {
		return badRequest(err)
	}
	if x.body.NeedsConversation() && !x.ownsConversation() {
		return foreignConversation
	}
	return nil
}

// owner names the key and what it is bound to, for the memory of conversations.
func (x *exchange) owner() string {
	b := x.key.Binding
	if b.Kind() == keys.AgentBinding {
		return x.key.ID + "\x00agent\x00" + b.Agent.Reveal()
	}
	return x.key.ID + "\x00source\x00" + strings.Join(b.Sources, "\x00")
}

// ownsConversation tells whether the request names a conversation that was given to its key.
func (x *exchange) ownsConversation() bool {
	id := x.body.Conversation()
	return id != "" && x.handler.app.state.conversations.Owns(x.owner(), id)
}

// gotConversation notes that DocsGPT made (or went on with) a conversation for this key.
func (x *exchange) gotConversation(id string) {
	x.handler.app.state.conversations.Give(x.owner(), id)
}

// rewrite makes the request that DocsGPT gets: the allowed headers and members, and the binding with its credential.
func (x *exchange) rewrite() *refusal {
	h := make(http.Header, 12)
	docsgpt.CopyRequestHeaders(h, x.r.Header)
	keepForwarded(h, x.r)
	h["Accept-Encoding"] = identity
	x.header = h
	if x.key == nil {
		return nil
	}
	var in docsgpt.Injected
	if b := x.key.Binding; b.Kind() == keys.AgentBinding {
		in.Agent = b.Agent.Reveal()
		if x.endpoint.Token == docsgpt.PlaceBearer {
			h["Authorization"] = []string{"Bearer " + in.Agent}
		}
	} else {
		in.Sources = b.Sources
		if x.handler.app.version.Accounts {
			h["Authorization"] = []string{"Bearer " + x.handler.app.token.Reveal()}
		}
	}
	if x.buffer != nil {
		h["Content-Type"] = jsonType
		x.buffer.Bytes = x.body.Rewrite(x.endpoint, in, x.ownsConversation())
	}
	return nil
}

var (
	identity = []string{"identity"}
	noValue  = []string{""}
	jsonType = []string{"application/json"}
)

func (x *exchange) release() {
	if x.buffer != nil {
		x.buffer.Release()
		x.buffer = nil
	}
}

// forward sends the request over the gate's own connections and relays the answer.
func (x *exchange) forward() {
	ctx, stop := context.WithCancelCause(x.r.Context())
	defer stop(nil)
	addForwarded(x.header, x.r)
	if _, named := x.header["User-Agent"]; !named {
		x.header["User-Agent"] = noValue // else net/http would put its own name there
	}
	up := x.handler.upstream
	resp, err := up.Send(ctx, stop, forward.Request{
		Method: x.endpoint.Method, Path: x.endpoint.Path, Header: x.header, Body: x.buffer,
	})
	x.release()
	a := answer{x: x}
	if err != nil {
		a.finish(err)
		return
	}
	defer resp.Body.Close()
	if err = a.begin(resp.StatusCode, resp.Header); err == nil {
		err = forward.Relay(ctx, stop, resp.Body, up.IdleTimeout(), a.write)
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
