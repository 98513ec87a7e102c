package docsgpt

import "net/http"

// Group is a named set of endpoints that an operator opens together.
type Group string

// The groups.
const (
	GroupWidget Group = "widget" // chat widget, search widget, scripts
	GroupOpenAI Group = "openai" // OpenAI-compatible clients
	GroupMCP    Group = "mcp"    // MCP clients

	GroupAttachments Group = "attachments" // uploads of widgets, to ask about
	GroupArtifacts   Group = "artifacts"   // files that an agent made in a conversation
	GroupSpeech      Group = "speech"      // speech to text and back

	GroupHealth Group = "health" // monitoring; no key
)

// Groups returns all groups in the order in which documentation lists them.
func Groups() []Group {
	return []Group{GroupWidget, GroupOpenAI, GroupMCP, GroupAttachments, GroupArtifacts, GroupSpeech, GroupHealth}
}

// TokenLocation is where an endpoint's clients put their token.
type TokenLocation uint8

// The places. Everywhere else a token counts as absent.
const (
	PlaceBody   TokenLocation = iota // the member "api_key" of the JSON body
	PlaceBearer                      // Authorization: Bearer
	TokenNone                        // the endpoint takes no token
	PlaceForm                        // the field "api_key" of a form, or the query parameter of that name; one of them, once
	PlaceQuery                       // the query parameter "api_key", or Authorization: Bearer; one of them, once
)

// BodyKind is what a request's body is.
type BodyKind uint8

// The kinds.
const (
	BodyNone BodyKind = iota
	BodyJSON          // one object; Endpoint.Members are let through
	BodyForm          // multipart/form-data; Endpoint.Members are the fields that are let through
)

// Relay is how an answer goes back to the client.
type Relay uint8

// The ways of relaying.
const (
	RelayVerbatim Relay = iota // untouched
	RelayEvents                // as whole "data:" events, since published widgets can read nothing else
)

// Class is for how long a request occupies DocsGPT.
type Class uint8

// The classes.
const (
	ClassShort  Class = iota // a thread, for some milliseconds to a few seconds
	ClassAnswer              // a thread, for as long as a model, or the client of a file, takes: a minute and more
	ClassListen              // a connection, for hours, but no thread
)

// Endpoint is one path of DocsGPT that the gate serves, with what holds for it in one version. It is read-only.
type Endpoint struct {
	Name    string // closed set, for metrics and logs: "stream", "answer", ...
	Path    string // canonical; segments {uuid} and {number} stand for any such
	Method  string
	Group   Group
	Token   TokenLocation
	Shape   ErrorFormat // of refusals
	Relay   Relay
	Class   Class
	Body    BodyKind
	Members []Field // of the body
	Files   int     // of a form: how many files its field "file" may hold; where it may, there must be one
	Params  []Param // of the query; all others are dropped

	// AgentQuery and AgentBearer are set where DocsGPT takes the agent's key in the query or in the header
	// Authorization, though clients put theirs elsewhere.
	AgentQuery, AgentBearer bool

	// Download is set where the answer is a file, of any kind.
	Download bool

	// RequestHeaders and ResponseHeaders are let through beside those of all endpoints, in canonical spelling.
	RequestHeaders, ResponseHeaders []string

	// Agents and Sources tell which kinds of binding work here; Refused is the sentence for the other kind.
	Agents, Sources    bool
	UnsupportedMessage string

	// FanOut is set where DocsGPT takes no credential of an account, but can be asked about each source of a key by
	// itself, at [SourceSearchPath].
	FanOut bool

	// CreatesConversation is set where a request makes or continues a conversation.
	CreatesConversation bool

	defaultHistory string
	limits         *Limits
}

const (
	needsAgent = "This endpoint works only with a key that is bound to an agent; this key is bound to a source."
	noFeedback = "This DocsGPT takes feedback only from people who are signed in to it, whatever the key is bound to."
)

// endpoints are all that the version has, in every group.
func (v *Version) endpoints() []Endpoint {
	answerMembers := chatMembers
	if v.ArrayHistory {
		answerMembers = arrayChatMembers
	}
	list := []Endpoint{
		{
			Name: "stream", Path: "/stream", Method: http.MethodPost, Group: GroupWidget, Body: BodyJSON, Shape: ShapeEvent,
			Class: ClassAnswer, Relay: RelayEvents, Members: chatMembers, Agents: true, Sources: true, CreatesConversation: true,
			defaultHistory: v.StreamHistory,
		},
		{
			Name: "answer", Path: "/api/answer", Method: http.MethodPost, Group: GroupWidget, Body: BodyJSON, Shape: ShapeJSON,
			Class: ClassAnswer, Members: answerMembers, Agents: true, Sources: true, CreatesConversation: true, defaultHistory: v.AnswerHistory,
		},
	}
	if v.Search != SearchNone {
		list = append(list, Endpoint{
			Name: "search", Path: "/api/search", Method: http.MethodPost, Group: GroupWidget, Body: BodyJSON, Shape: ShapeJSON,
			Members: searchMembers, Agents: true, Sources: v.Search == SearchAny || v.SourceSearch, UnsupportedMessage: needsAgent,
			FanOut: v.Search == SearchKeyed && v.SourceSearch,
		})
	}
	feedback := Endpoint{
		Name: "feedback", Path: "/api/feedback", Method: http.MethodPost, Group: GroupWidget, Body: BodyJSON, Shape: ShapeJSON,
		UnsupportedMessage: noFeedback,
	}
	switch v.Feedback {
	case FeedbackOpen:
		feedback.Members, feedback.Agents, feedback.Sources = openFeedbackMembers, true, true
	case FeedbackKeyed:
		feedback.Members, feedback.Agents, feedback.UnsupportedMessage = keyedFeedbackMembers, true, needsAgent
	case FeedbackNone:
		feedback.Members = openFeedbackMembers
	}
	list = append(list, feedback)
	if v.OpenAI {
		list = append(list, Endpoint{
			Name: "completions", Path: "/v1/chat/completions", Method: http.MethodPost, Group: GroupOpenAI, Body: BodyJSON,
			Class: ClassAnswer, Token: PlaceBearer, Shape: ShapeOpenAI, Members: completionMembers, Agents: true, UnsupportedMessage: needsAgent,
		})
	}
	if v.Models {
		list = append(list, Endpoint{
			Name: "models", Path: "/v1/models", Method: http.MethodGet, Group: GroupOpenAI,
			Token: PlaceBearer, Shape: ShapeOpenAI, Agents: true, UnsupportedMessage: needsAgent,
		})
	}
	list = append(list, v.mcpEndpoints()...)
	list = append(list, v.attachmentEndpoints()...)
	list = append(list, v.artifactEndpoints()...)
	list = append(list, v.speechEndpoints()...)
	if v.Health {
		list = append(list, Endpoint{
			Name: "health", Path: "/api/health", Method: http.MethodGet, Group: GroupHealth, Token: TokenNone,
			Shape: ShapeJSON,
		})
	}
	return list
}
