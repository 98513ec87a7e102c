package gateway

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/internal/redact"
	"github.com/docsgate/docsgate/upstream"
)

// instrumentation is the name of the gate's tracer.
const instrumentation = "github.com/docsgate/docsgate"

// Attributes of spans. Those with gen_ai are OpenTelemetry's for requests to models. They contain no text of a question or an answer.
const (
	attrEndpoint  = attribute.Key("docsgate.endpoint")
	attrBackend   = attribute.Key("docsgate.backend")
	attrDecision  = attribute.Key("docsgate.decision") // allowed, or the reason of the rejection
	attrKeyID     = attribute.Key("docsgate.key.id")
	attrRequestID = attribute.Key("docsgate.request_id")
	attrClass     = attribute.Key("docsgate.queue.class")
	attrMethod    = attribute.Key("http.request.method")
	attrStatus    = attribute.Key("http.response.status_code")
	attrAddress   = attribute.Key("server.address")
	attrPort      = attribute.Key("server.port")
	attrPath      = attribute.Key("url.path")
	attrUserAgent = attribute.Key("user_agent.original")
	attrClient    = attribute.Key("client.address")
	attrErrorType = attribute.Key("error.type")

	attrInputTokens  = attribute.Key("gen_ai.usage.input_tokens")
	attrOutputTokens = attribute.Key("gen_ai.usage.output_tokens")
)

var (
	genAIChat     = attribute.String("gen_ai.operation.name", "chat")
	genAIProvider = attribute.String("gen_ai.provider.name", "docsgpt")
)

// serverAttributes returns the attributes that name an upstream.
func serverAttributes(address upstream.Address) []attribute.KeyValue {
	if address.Socket != "" {
		return []attribute.KeyValue{attrAddress.String(address.Socket)}
	}
	attributes := []attribute.KeyValue{attrAddress.String(address.URL.Hostname())}
	if port, err := strconv.Atoi(address.URL.Port()); err == nil {
		attributes = append(attributes, attrPort.Int(port))
	}
	return attributes
}

// requestTrace is what a request adds to the trace of Caddy's handler "tracing". nil: the request is not traced. Methods of nil have no
// effect.
type requestTrace struct {
	server   trace.Span      // of "tracing", which ends it
	ctx      context.Context //nolint:containedctx // of server, for spans below it
	upstream trace.Span      // nil: nothing was sent to DocsGPT
	failure  string          // code of the error of DocsGPT; "": none
	tokens   docsgpt.Tokens  // of a streamed completion
}

// traceOf returns the trace of a request. "tracing" has set the header; without it the request costs no more than this lookup.
func traceOf(r *http.Request) *requestTrace {
	if len(r.Header["Traceparent"]) == 0 {
		return nil
	}
	span := trace.SpanFromContext(r.Context())
	if !span.IsRecording() {
		return nil
	}
	return &requestTrace{server: span, ctx: r.Context()}
}

func (t *requestTrace) start(name string, kind trace.SpanKind, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	return t.server.TracerProvider().Tracer(instrumentation).Start(t.ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(attributes...))
}

// decided records that the request is allowed, or why it is rejected.
func (t *requestTrace) decided(decision string) {
	if t == nil {
		return
	}
	t.server.SetAttributes(attrDecision.String(decision))
	if decision != decisionAllowed {
		t.server.SetAttributes(attrErrorType.String(decision))
	}
}

// end records what is known of the request at its end.
func (t *requestTrace) end(c *client) {
	if t == nil {
		return
	}
	t.redact(c.r)
	t.server.SetAttributes(attrEndpoint.String(c.endpoint.Name), attrRequestID.String(c.requestID()))
	if c.key != nil {
		t.server.SetAttributes(attrKeyID.String(c.key.ID))
	}
	if t.failure != "" {
		t.server.SetAttributes(attrErrorType.String(t.failure))
	}
	if c.handler.Backend != "" {
		t.server.SetAttributes(attrBackend.String(c.handler.Backend))
	}
}

// redact replaces the texts of the client that "tracing" has recorded, as the log encoder does: a client may put a token anywhere.
func (t *requestTrace) redact(r *http.Request) {
	path, known := docsgpt.KnownPath(r.URL.Path)
	if !known {
		path = "/" + redact.Replacement
	}
	t.server.SetAttributes(attrPath.String(path))
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	forwarded, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
	for name, text := range map[attribute.Key]string{
		attrAddress: host, attrUserAgent: r.UserAgent(), attrClient: strings.TrimSpace(forwarded),
	} {
		if clean := redact.Text(text); clean != text {
			t.server.SetAttributes(name.String(clean))
		}
	}
}

// startWait begins the span of a request that waits for a slot. The result ends it.
func (t *requestTrace) startWait(class string) (end func()) {
	if t == nil {
		return func() {}
	}
	_, span := t.start("docsgate queue", trace.SpanKindInternal, attrClass.String(class))
	return func() { span.End() }
}

// startUpstream begins the span of the request to DocsGPT, which becomes the parent of DocsGPT's spans.
func (t *requestTrace) startUpstream(e *endpoint, server []attribute.KeyValue, up *upstreamRequest) {
	if t == nil {
		return
	}
	attributes := slices.Concat([]attribute.KeyValue{attrMethod.String(up.method), attrEndpoint.String(e.Name)}, server)
	name := up.method + " " + e.Name
	if e.Class == docsgpt.ClassAnswer && !e.Download {
		attributes = append(attributes, genAIChat, genAIProvider)
		name = "chat docsgpt"
	}
	ctx, span := t.start(name, trace.SpanKindClient, attributes...)
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(up.header))
	t.upstream = span
}

// firstEvent records that the first event of a stream has arrived.
func (t *requestTrace) firstEvent() {
	if t != nil && t.upstream != nil {
		t.upstream.AddEvent("first event")
	}
}

// failed records the code of an error of DocsGPT.
func (t *requestTrace) failed(code string) {
	if t != nil {
		t.failure = code
	}
}

// watchTokens reads the tokens of a streamed completion, if DocsGPT sends them.
func (t *requestTrace) watchTokens(res *response) {
	if t == nil || res.client.endpoint.Relay != docsgpt.RelayChunks {
		return
	}
	next := res.filter.OnEvent
	res.filter.OnEvent = func(event []byte) []byte {
		if tokens, _, ok := docsgpt.EventUsage(event); ok {
			t.tokens = tokens
		}
		if next != nil {
			return next(event)
		}
		return event
	}
}

// endUpstream ends the span of the request to DocsGPT.
func (t *requestTrace) endUpstream(res *response) {
	if t == nil || t.upstream == nil {
		return
	}
	if res.status != 0 {
		t.upstream.SetAttributes(attrStatus.Int(res.status))
	}
	if res.client != nil && res.client.endpoint.Relay == docsgpt.RelayChunks && !res.filter.Verbatim {
		t.tokens, _, _ = docsgpt.Usage(res.out)
	}
	if t.tokens.Total > 0 {
		t.upstream.SetAttributes(attrInputTokens.Int64(t.tokens.Prompt), attrOutputTokens.Int64(t.tokens.Answer))
	}
	if t.failure != "" {
		t.upstream.SetAttributes(attrErrorType.String(t.failure))
		t.upstream.SetStatus(codes.Error, "")
	}
	t.upstream.End()
}

// observe adds a value to a histogram, with the trace as its exemplar.
func (t *requestTrace) observe(to prometheus.Observer, value float64) {
	if t != nil {
		if exemplars, ok := to.(prometheus.ExemplarObserver); ok && t.server.SpanContext().IsSampled() {
			exemplars.ObserveWithExemplar(value, prometheus.Labels{"trace_id": t.server.SpanContext().TraceID().String()})
			return
		}
	}
	to.Observe(value)
}
