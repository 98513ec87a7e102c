package gateway

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
)

// endpoint is an endpoint of DocsGPT with its metrics, and with what is special about its group.
type endpoint struct {
	*docsgpt.Endpoint
	group    groupStages
	allowed  prometheus.Counter
	duration prometheus.Observer
	first    prometheus.Observer // time to the first event of a stream
	stream   prometheus.Observer // duration of a stream
	received prometheus.Counter  // bytes of bodies that were passed on
	sent     prometheus.Counter  // bytes of bodies of responses
	streams  prometheus.Gauge    // in flight, of all endpoints

	// isServerStream says that the response is an MCP stream of server messages, which may be silent for hours. Clients
	// reconnect when it ends.
	isServerStream bool
}

// groupStages are the parts of stages that only the endpoints of one group have. nil: the group has no such part.
type groupStages struct {
	// authorize checks the request further. key is nil if the endpoint takes no token.
	authorize func(c *client, head requestHead, body *requestBody, key *keys.Key) (authorization, *apiError)

	// keylessCredential returns the credential for a request without a key, or "".
	keylessCredential func(c *client, access authorization) string

	// onHeader handles the header of a response before it is relayed, onBody a complete buffered response. An error of onBody
	// is sent in place of the response.
	onHeader func(*response)
	onBody   func(*response) *docsgpt.Error
}

var groups = map[docsgpt.Group]groupStages{
	docsgpt.GroupOpenAI: {onBody: (*response).selectModel},

	docsgpt.GroupMCP: {authorize: authorizeMCP, onHeader: (*response).onMCPHeader, onBody: (*response).onMCPBody},

	docsgpt.GroupAttachments: uploadStages,
	docsgpt.GroupSpeech:      uploadStages,

	docsgpt.GroupArtifacts: {onHeader: (*response).setDownloadHeaders},
}

var uploadStages = groupStages{
	authorize: authorizeTask, keylessCredential: taskCredential,
	onBody: (*response).signUploadIDs,
}

// decisionAllowed is the reason of requests that are not rejected, in metrics and traces.
const decisionAllowed = "allowed"

func newEndpoint(e *docsgpt.Endpoint, m *metrics) *endpoint {
	return &endpoint{
		Endpoint: e, group: groups[e.Group],
		allowed: m.decisions.WithLabelValues(e.Name, decisionAllowed), duration: m.requestSeconds.WithLabelValues(e.Name),
		first: m.firstSeconds.WithLabelValues(e.Name), stream: m.streamSeconds.WithLabelValues(e.Name),
		received: m.receivedBytes.WithLabelValues(e.Name), sent: m.sentBytes.WithLabelValues(e.Name),
		streams:        m.streamsInFlight,
		isServerStream: e.Group == docsgpt.GroupMCP && e.Method == http.MethodGet,
	}
}

// match finds the endpoint by the decoded, canonical path. The same path is forwarded. route is nil for an unknown path. The
// endpoint is never nil.
func (h *Handler) match(r *http.Request) (route *docsgpt.Route, e *endpoint, apiErr *apiError) {
	if route = h.routes.Find(r.URL.Path); route == nil {
		format, notFound := h.routes.NotFound(r.URL.Path)
		return nil, h.state.unknownEndpoints[format], &apiError{Error: *notFound}
	}
	if found := route.Endpoint(r.Method); found != nil {
		return route, h.endpoints[found], nil
	}
	e = h.endpoints[route.DefaultEndpoint()]
	if r.Method != http.MethodOptions {
		apiErr = errMethodNotAllowed
	}
	return route, e, apiErr
}
