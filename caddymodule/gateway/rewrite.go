package gateway

import (
	"net/http"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
)

// rewrite builds the upstream request: the allowed headers and fields, and the binding of the key with its credential.
func (x *gatewayRequest) rewrite() *apiError {
	h := make(http.Header, 12)
	docsgpt.CopyRequestHeaders(h, x.r.Header, x.endpoint)
	copyTrustedForwarded(h, x.r)
	h["Accept-Encoding"] = identity
	x.header = h
	if x.endpoint.Download {
		h["Accept"] = acceptAny
	}
	if x.key == nil {
		x.rewriteTaskStatus()
		return nil
	}
	var in docsgpt.Binding
	if b := x.key.Binding; b.Kind() == keys.AgentBinding {
		in.Agent = b.Agent.Reveal()
		if x.endpoint.Token == docsgpt.TokenBearer || x.endpoint.AgentBearer {
			h["Authorization"] = []string{"Bearer " + in.Agent}
		}
	} else {
		in.Sources = b.Sources
		if x.handler.app.Version().Accounts {
			h["Authorization"] = []string{"Bearer " + x.handler.app.Credential().Reveal()}
		}
	}
	if x.isFanOut() {
		return x.rewriteSearch()
	}
	if x.buffer != nil {
		h["Content-Type"] = jsonType
		x.buffer.Bytes = x.body.Rewrite(x.endpoint, in, x.continuesConversation())
	}
	if x.upload != nil {
		h["Content-Type"] = []string{x.upload.form.ContentType()}
		if err := x.upload.form.Finish(in.Agent); err != nil {
			return x.formError(err)
		}
	}
	switch {
	case x.endpoint.AgentQuery:
		x.rawQuery = x.query.Rewrite(x.endpoint, in.Agent)
	case x.endpoint.Params != nil:
		x.rawQuery = x.query.Rewrite(x.endpoint, "")
	}
	return nil
}

var (
	identity  = []string{"identity"}
	jsonType  = []string{"application/json"}
	acceptAny = []string{"*/*"} // with JSON, DocsGPT would return the URL of the file
)
