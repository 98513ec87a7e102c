package docsgpt

import (
	"net/http"
	"slices"
	"strings"
)

// oauthRegisterPath is the path of OAuth client registration, which MCP clients request after their key was rejected. They
// show the error of this request instead of the first one.
const oauthRegisterPath = "/register"

// The messages of errors for paths that are not served.
const (
	msgNotFound = "There is nothing here."
	msgNoOAuth  = "There is nothing to sign in to here. Send a valid API key in the header Authorization, as Bearer."
	// Some SDKs send requests to the Responses API unless an option selects the API that nearly all servers have.
	msgNoResponses = "The Responses API is not served here. Use Chat Completions: openai.chat(...) in the AI SDK, " +
		`useResponsesApi: false in LangChain (use_responses_api=False in Python); in n8n switch "Use Responses API" off. `
	msgNoOpenAI = "No path below /v1 is served here: the endpoint group openai is not enabled."
)

// NotFound returns the error for a decoded URL path that [Routes.Find] does not find, and the error format of the clients
// that request such a path: [FormatOpenAI] below /v1, [FormatOAuth] or [FormatJSON].
func (r *Routes) NotFound(path string) (ErrorFormat, *Error) {
	path = cleanPath(path)
	switch {
	case isOpenAIPath(path):
		message := r.openAIPaths()
		if path == openAIPrefix+"/responses" || strings.HasPrefix(path, openAIPrefix+"/responses/") {
			message = msgNoResponses + message
		}
		return FormatOpenAI, newNotFound(message)
	case path == oauthRegisterPath && r.byPath["/mcp/"] != nil:
		return FormatOAuth, newNotFound(msgNoOAuth)
	}
	return FormatJSON, newNotFound(msgNotFound)
}

func newNotFound(message string) *Error {
	return &Error{Status: http.StatusNotFound, Code: "not_found", Message: message}
}

// openAIPaths returns a sentence that lists what is served below /v1.
func (r *Routes) openAIPaths() string {
	var served []string
	for _, e := range r.Endpoints() {
		if e.Group == GroupOpenAI {
			served = append(served, e.Method+" "+e.Path)
		}
	}
	if len(served) == 0 {
		return msgNoOpenAI
	}
	slices.SortFunc(served, func(a, b string) int { return strings.Compare(pathOf(a), pathOf(b)) })
	return "Below /v1 only these paths are served: " + strings.Join(served, ", ") + "."
}

func pathOf(endpoint string) string { return endpoint[strings.IndexByte(endpoint, ' '):] }
