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
	"github.com/docsgate/docsgate/policy"
)

// exchange is one request on its way through the gate. It goes through the steps in serve, in that order, and never
// back; each step leaves in it what the following ones need.
type exchange struct {
	handler *Handler
	w       http.ResponseWriter
	r       *http.Request
	next    caddyhttp.Handler
	begun   time.Time
	id      string // see requestID

	resource *docsgpt.Resource // route; nil for an unknown path
	endpoint *docsgpt.Endpoint // route
	query    docsgpt.Query     // read
	body     docsgpt.Body      // read; refers to buffer
	buffer   *forward.Buffer   // read; nil where the endpoint has no body
	token    string            // read
	key      *keys.Key         // identify; nil where the endpoint takes no token
	header   http.Header       // rewrite
	rawQuery string            // rewrite
	handed   handed            // forward, or hand
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
		answerOptions(x.w, x.r, x.resource.Methods())
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
	x.resource = x.handler.routes.Find(x.r.URL.Path)
	if x.resource == nil {
		return notFound
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

// read reads and parses the query and the body, and finds the client's token.
func (x *exchange) read() *refusal {
	e := x.endpoint
	if e.Params != nil || e.Token == docsgpt.PlaceQuery || e.Token == docsgpt.PlaceForm {
		var err error
		if x.query, err = docsgpt.ParseQuery(e, x.r.URL.RawQuery); err != nil {
			return badRequest(err)
		}
	}
	switch e.Token {
	case docsgpt.PlaceBearer:
		x.token, _ = docsgpt.BearerToken(x.r.Header)
	case docsgpt.PlaceQuery:
		bearer, ok := docsgpt.BearerToken(x.r.Header)
		if ok && x.query.HasToken {
			return twoTokens
		}
		x.token = bearer + x.query.Token
	case docsgpt.PlaceBody, docsgpt.PlaceForm, docsgpt.PlaceNone:
	}
	switch e.Body {
	case docsgpt.BodyJSON:
		return x.readJSON()
	case docsgpt.BodyForm:
		return x.readForm()
	case docsgpt.BodyNone:
	}
	return nil
}

func (x *exchange) readJSON() *refusal {
	e := x.endpoint
	if !docsgpt.JSONType(x.r.Header) || !plainEncoding(x.r.Header) {
		return notJSON
	}
	buffer, err := forward.ReadBody(x.r.Body, x.r.ContentLength, x.handler.MaxBody, docsgpt.BodySlack)
	switch {
	case err == nil:
	case errors.Is(err, forward.ErrTooLarge) || isBodyLimit(err):
		return tooLarge
	default:
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
	if e.Body == docsgpt.BodyJSON {
		if err := x.body.Check(e); err != nil {
			return badRequest(err)
		}
	}
	return x.decideBelongings()
}

// decideBelongings tells whether what the request names was given to its key. A conversation that was not is left out
// when the request is rewritten, where it makes sense without one.
func (x *exchange) decideBelongings() *refusal {
	if x.body.NeedsConversation() && !x.owns(policy.Conversation, x.body.Conversation()) {
		return foreignConversation
	}
	if id := x.query.Value(x.endpoint, docsgpt.CheckOwned); id != "" && !x.owns(policy.Conversation, id) {
		return foreignConversation
	}
	for _, id := range x.body.Attachments() {
		if !x.owns(policy.Attachment, id) {
			return foreignAttachment
		}
	}
	return nil
}

// ownerOf names a key and what it is bound to.
func ownerOf(key *keys.Key) policy.Owner {
	b := key.Binding
	if b.Kind() == keys.AgentBinding {
		return policy.OwnerOf(key.ID, "agent", b.Agent.Reveal())
	}
	return policy.OwnerOf(append([]string{key.ID, "source"}, b.Sources...)...)
}

func (x *exchange) owns(kind policy.Kind, id string) bool {
	return id != "" && x.key != nil && x.handler.app.state.belongings.Owns(ownerOf(x.key), kind, id)
}

// got notes that DocsGPT made something for this key, or went on with it.
func (x *exchange) got(kind policy.Kind, id string) {
	if x.key != nil && id != "" {
		x.handler.app.state.belongings.Give(ownerOf(x.key), kind, id)
	}
}

// rewrite makes the request that DocsGPT gets: the allowed headers and members, and the binding with its credential.
func (x *exchange) rewrite() *refusal {
	h := make(http.Header, 12)
	docsgpt.CopyRequestHeaders(h, x.r.Header, x.endpoint)
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
		x.buffer.Bytes = x.body.Rewrite(x.endpoint, in, x.owns(policy.Conversation, x.body.Conversation()))
	}
	if x.endpoint.Params != nil {
		x.rawQuery = x.query.Rewrite(x.endpoint, "")
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
	request := forward.Request{Method: x.endpoint.Method, Path: x.resource.Path, Query: x.rawQuery, Header: x.header}
	if x.buffer != nil {
		request.Body, x.buffer = x.buffer, nil
	}
	resp, err := up.Send(ctx, stop, request)
	a := &x.handed.answer
	a.x = x
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
