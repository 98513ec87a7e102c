package gateway

import (
	"net/http"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/upstream"
)

// upstreamRequest is the request to DocsGPT. It contains nothing that the client sent and the gate did not check.
type upstreamRequest struct {
	method, path, rawQuery string

	loggedQuery string // rawQuery without the agent's key
	header      http.Header
	body        upstream.Body // nil: none
	sources     []string      // nil, or the sources to search one by one
	item        string        // not sent: the client gets this item of the list that DocsGPT responds with; "": all of it
}

// rewrite builds the upstream request: the allowed headers and fields, and the binding of the key with its credential. key is
// nil if the endpoint takes no token. It runs after all limits, since the conversation may be blocked here; see
// continuesConversation.
func (c *client) rewrite(route *docsgpt.Route, head *requestHead, body *requestBody, key *keys.Key,
	access authorization,
) (upstreamRequest, *apiError) {
	e := c.endpoint
	// HEAD is forwarded as GET: only the complete response says which status and length the gate's response has.
	up := upstreamRequest{method: e.Method, path: route.Path, item: route.Item, header: upstream.NewHeader()}
	docsgpt.CopyRequestHeaders(up.header, c.r.Header, e.Endpoint)
	if access.session != "" {
		up.header[docsgpt.HeaderSession] = []string{access.session}
	}
	copyTrustedForwarded(up.header, c.r)
	v := &c.upstreamValues
	v.set(up.header, "Accept-Encoding", "identity")
	if e.Download {
		v.set(up.header, "Accept", "*/*") // with JSON, DocsGPT would return the URL of the file
	}
	if e.Params != nil {
		up.loggedQuery = head.query.Rewrite(e.Endpoint, "")
		up.rawQuery = up.loggedQuery
	}
	if key == nil {
		if credential := e.group.keylessCredential; credential != nil {
			if token := credential(c, access); token != "" {
				up.header["Authorization"] = []string{"Bearer " + token}
			}
		}
		return up, nil
	}
	binding := c.handler.bind(e, key, up.header)
	binding.Facts = c.facts(key)
	if e.AgentQuery {
		up.rawQuery = head.query.Rewrite(e.Endpoint, binding.Agent)
	}
	switch {
	case fanOutSources(e, key) != nil:
		up.sources = binding.Sources
		query, err := body.json.SourceQuery()
		if err != nil {
			return up, badRequest(err)
		}
		v.set(up.header, "Content-Type", jsonType)
		body.buffer.Bytes = append(body.buffer.Bytes[:0], query...)
		up.body = body.buffer
	case body.buffer != nil:
		v.set(up.header, "Content-Type", jsonType)
		binding.Usage = body.wantsUsage
		owned := body.json.NeedsConversation() || c.continuesConversation(&body.json, key)
		body.buffer.Bytes = body.json.Rewrite(e.Endpoint, binding, owned)
		up.body = body.buffer
	case body.form != nil:
		v.set(up.header, "Content-Type", body.form.ContentType())
		if err := body.form.Finish(binding.Agent); err != nil {
			return up, c.formError(err)
		}
		up.body = body.spool
	}
	return up, nil
}

// bind returns the binding of a key for the body, and adds its credential to the header.
func (h *Handler) bind(e *endpoint, key *keys.Key, header http.Header) (in docsgpt.Binding) {
	if b := key.Binding; b.Kind() == keys.AgentBinding {
		in.Agent = b.Agent.Reveal()
		if e.Token == docsgpt.TokenBearer || e.AgentBearer {
			header["Authorization"] = []string{"Bearer " + in.Agent}
		}
		return in
	}
	in.Sources = key.Binding.Sources
	if h.backend.Version().Accounts {
		header["Authorization"] = []string{"Bearer " + h.backend.Credential().Reveal()}
	}
	return in
}

const jsonType = "application/json"
