package docsgpt

import "net/http"

// Group is a named set of endpoints that an operator enables together.
type Group string

// The groups.
const (
	GroupWidget Group = "widget" // chat widget, search widget, scripts
	GroupOpenAI Group = "openai" // OpenAI-compatible clients
	GroupMCP    Group = "mcp"    // MCP clients

	GroupAttachments Group = "attachments" // files that users upload to ask about them
	GroupArtifacts   Group = "artifacts"   // files that an agent created in a conversation
	GroupSpeech      Group = "speech"      // speech to text, and text to speech

	GroupHealth Group = "health" // monitoring; no key
)

// Groups returns all groups in the order of the documentation.
func Groups() []Group {
	return []Group{GroupWidget, GroupOpenAI, GroupMCP, GroupAttachments, GroupArtifacts, GroupSpeech, GroupHealth}
}

// TokenLocation is where the clients of an endpoint put their token.
type TokenLocation uint8

// The token locations. A token in any other location is ignored.
const (
	TokenBody   TokenLocation = iota // the field "api_key" of the JSON body
	TokenBearer                      // Authorization: Bearer
	TokenNone                        // the endpoint takes no token
	TokenForm                        // the field "api_key" of a form, or the query parameter of that name; exactly one of them
	TokenQuery                       // the query parameter "api_key", or Authorization: Bearer; exactly one of them
)

// BodyKind is the kind of a request's body.
type BodyKind uint8

// The body kinds.
const (
	BodyNone BodyKind = iota
	BodyJSON          // one object, of which Endpoint.Fields are forwarded
	BodyForm          // multipart/form-data, of which the fields in Endpoint.Fields are forwarded
)

// Relay is how a response is relayed to the client.
type Relay uint8

// The relay modes.
const (
	RelayVerbatim Relay = iota // unchanged
	RelayEvents                // as complete "data:" events, since published widgets cannot read anything else
	RelayChunks                // unchanged, but the first chunk of a completion gets a role, which OpenAI's SDKs need
)

// Class is how long, and what, a request occupies in DocsGPT.
type Class uint8

// The classes.
const (
	ClassShort  Class = iota // a thread, for milliseconds to a few seconds
	ClassAnswer              // a thread, for as long as a model or a file transfer takes: a minute and more
	ClassListen              // a connection, for hours, but no thread
)

// Endpoint is a path and method of DocsGPT that the gate serves, as one version has it. It is read-only.
type Endpoint struct {
	Name        string // one of a closed set, for metrics and logs: "stream", "answer", ...
	Path        string // canonical; the segments {uuid} and {number} match any UUID and number, {id} any text
	Method      string
	Group       Group
	Token       TokenLocation
	ErrorFormat ErrorFormat // of error responses
	Relay       Relay
	Class       Class
	Body        BodyKind
	Fields      []Field // of the body
	Files       int     // of a form: most files in its field "file"; above 0, one is required
	Params      []Param // of the query; other parameters are dropped

	// AgentQuery and AgentBearer report that DocsGPT takes the agent's key in the query, or in the header Authorization,
	// although clients put their token elsewhere.
	AgentQuery, AgentBearer bool

	// ItemOf is the path of a list at DocsGPT, if the response is the item of that list that the last segment of the
	// client's path names. DocsGPT itself serves only the list.
	ItemOf string

	// Download reports that the response is a file of any type.
	Download bool

	// RequestHeaders and ResponseHeaders are allowed in addition to those of all endpoints. Names are canonical.
	RequestHeaders, ResponseHeaders []string

	// Agents and Sources report which bindings work here. UnsupportedMessage is the error message for the other one.
	Agents, Sources    bool
	UnsupportedMessage string

	// FanOut reports that DocsGPT does not take an account's credential here, but can search each source of a key
	// separately, at [SourceSearchPath].
	FanOut bool

	// CreatesConversation reports that a request creates or continues a conversation.
	CreatesConversation bool

	defaultHistory string
	facts          factsRule
	limits         *Limits
}

const (
	needsAgent = "This endpoint works only with a key that is bound to an agent; this key is bound to a source."
	noFeedback = "This DocsGPT accepts feedback only from users who are signed in to it, not with a key."
)

// endpoints returns all endpoints of the version, in every group.
func (v *Version) endpoints() []Endpoint {
	answerFields := chatFields
	if v.ArrayHistory {
		answerFields = arrayChatFields
	}
	facts := factsNone
	if v.Passthrough {
		facts = factsTop
	}
	list := []Endpoint{
		{
			Name: "stream", Path: "/stream", Method: http.MethodPost, Group: GroupWidget, Body: BodyJSON, ErrorFormat: FormatEvent,
			Class: ClassAnswer, Relay: RelayEvents, Fields: chatFields, Agents: true, Sources: true, CreatesConversation: true,
			defaultHistory: v.StreamHistory, facts: facts,
		},
		{
			Name: "answer", Path: "/api/answer", Method: http.MethodPost, Group: GroupWidget, Body: BodyJSON, ErrorFormat: FormatJSON,
			Class: ClassAnswer, Fields: answerFields, Agents: true, Sources: true, CreatesConversation: true, defaultHistory: v.AnswerHistory,
			facts: facts,
		},
	}
	if v.Search != SearchNone {
		list = append(list, Endpoint{
			Name: "search", Path: "/api/search", Method: http.MethodPost, Group: GroupWidget, Body: BodyJSON, ErrorFormat: FormatJSON,
			Fields: searchFields, Agents: true, Sources: v.Search == SearchAny || v.SourceSearch, UnsupportedMessage: needsAgent,
			FanOut: v.Search == SearchKeyed && v.SourceSearch,
		})
	}
	feedback := Endpoint{
		Name: "feedback", Path: "/api/feedback", Method: http.MethodPost, Group: GroupWidget, Body: BodyJSON, ErrorFormat: FormatJSON,
		UnsupportedMessage: noFeedback,
	}
	switch v.Feedback {
	case FeedbackOpen:
		feedback.Fields, feedback.Agents, feedback.Sources = openFeedbackFields, true, true
	case FeedbackKeyed:
		feedback.Fields, feedback.Agents, feedback.UnsupportedMessage = keyedFeedbackFields, true, needsAgent
	case FeedbackNone:
		feedback.Fields = openFeedbackFields
	}
	list = append(list, feedback)
	list = append(list, v.openAIEndpoints()...)
	list = append(list, v.mcpEndpoints()...)
	list = append(list, v.attachmentEndpoints()...)
	list = append(list, v.artifactEndpoints()...)
	list = append(list, v.speechEndpoints()...)
	if v.Health {
		list = append(list, Endpoint{
			Name: "health", Path: "/api/health", Method: http.MethodGet, Group: GroupHealth, Token: TokenNone,
			ErrorFormat: FormatJSON,
		})
	}
	return list
}
