package gateway

import (
	"errors"
	"net/http"
	"strings"

	"github.com/docsgate/docsgate/docsgpt"
)

// requestHead is what was parsed of a request before its body.
type requestHead struct {
	query docsgpt.Query
	token string // from the header or the query; "" if the endpoint's clients send it in the body
}

// parseHead parses the query, and extracts the token from the header or the query.
func parseHead(r *http.Request, e *endpoint) (head requestHead, _ *apiError) {
	if e.Params != nil || e.Token == docsgpt.TokenQuery || e.Token == docsgpt.TokenForm {
		var err error
		if head.query, err = docsgpt.ParseQuery(e.Endpoint, r.URL.RawQuery); err != nil {
			return head, badRequest(err)
		}
	}
	switch e.Token {
	case docsgpt.TokenBearer:
		head.token, _ = docsgpt.BearerToken(r.Header)
	case docsgpt.TokenQuery:
		bearer, ok := docsgpt.BearerToken(r.Header)
		if ok && head.query.HasToken {
			return head, errMultipleTokens
		}
		head.token = bearer + head.query.Token
	case docsgpt.TokenBody, docsgpt.TokenForm, docsgpt.TokenNone:
	}
	return head, nil
}

// isIdentityEncoding reports whether the body has no content encoding. DocsGPT ignores Content-Encoding, so it would parse
// other bytes than the gate.
func isIdentityEncoding(h http.Header) bool {
	values := h["Content-Encoding"]
	return len(values) == 0 || len(values) == 1 && strings.EqualFold(values[0], "identity")
}

// isBodyLimit reports whether err is the gate's limit of a form, or the limit of Caddy's request_body directive.
func isBodyLimit(err error) bool {
	var limit *http.MaxBytesError
	return errors.As(err, &limit)
}
