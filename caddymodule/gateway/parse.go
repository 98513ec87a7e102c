package gateway

import (
	"errors"
	"net/http"
	"strings"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/upstream"
)

// parseHead parses the query, and extracts the token from the header or the query.
func (x *gatewayRequest) parseHead() *apiError {
	e := x.endpoint
	if e.Params != nil || e.Token == docsgpt.TokenQuery || e.Token == docsgpt.TokenForm {
		var err error
		if x.query, err = docsgpt.ParseQuery(e, x.r.URL.RawQuery); err != nil {
			return badRequest(err)
		}
	}
	switch e.Token {
	case docsgpt.TokenBearer:
		x.token, _ = docsgpt.BearerToken(x.r.Header)
	case docsgpt.TokenQuery:
		bearer, ok := docsgpt.BearerToken(x.r.Header)
		if ok && x.query.HasToken {
			return errMultipleTokens
		}
		x.token = bearer + x.query.Token
	case docsgpt.TokenBody, docsgpt.TokenForm, docsgpt.TokenNone:
	}
	return nil
}

// parseBody reads and parses the body, and extracts the token from it.
func (x *gatewayRequest) parseBody() *apiError {
	switch x.endpoint.Body {
	case docsgpt.BodyJSON:
		return x.parseJSON()
	case docsgpt.BodyForm:
		return x.parseForm()
	case docsgpt.BodyNone:
	}
	return nil
}

func (x *gatewayRequest) parseJSON() *apiError {
	e := x.endpoint
	if !docsgpt.IsJSON(x.r.Header) || !isIdentityEncoding(x.r.Header) {
		return errNotJSON
	}
	x.receive()
	buffer, err := upstream.ReadBody(&x.bodyQuota, x.r.ContentLength, x.handler.MaxBodySize, docsgpt.RewriteHeadroom, &x.bodyQuota)
	if stopped := x.bodyQuota.End(); err == nil && stopped != nil {
		buffer.Release()
		err = stopped
	}
	if err != nil {
		return x.bodyError(err)
	}
	x.buffer = buffer
	if err := x.body.Parse(e, buffer.Bytes); err != nil {
		return badRequest(err)
	}
	if e.Token == docsgpt.TokenBody {
		x.token, _ = x.body.Token()
	}
	return nil
}

// isIdentityEncoding reports whether the body has no content encoding. DocsGPT ignores Content-Encoding, so it would parse
// other bytes than the gate.
func isIdentityEncoding(h http.Header) bool {
	values := h["Content-Encoding"]
	return len(values) == 0 || len(values) == 1 && strings.EqualFold(values[0], "identity")
}

// isBodyLimit reports whether err is the limit of Caddy's request_body directive.
func isBodyLimit(err error) bool {
	var limit *http.MaxBytesError
	return errors.As(err, &limit)
}
