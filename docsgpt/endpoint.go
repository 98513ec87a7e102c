package docsgpt

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Group is a named set of endpoints that an operator opens together.
type Group string

// The groups.
const (
	GroupWidget Group = "widget" // chat widget, search widget, scripts
	GroupOpenAI Group = "openai" // OpenAI-compatible clients
	GroupHealth Group = "health" // monitoring; no key
)

// Groups returns all groups in the order in which documentation lists them.
func Groups() []Group { return []Group{GroupWidget, GroupOpenAI, GroupHealth} }

// Place is where an endpoint's clients put their token.
type Place uint8

// The places. Everywhere else a token counts as absent.
const (
	PlaceBody   Place = iota // the member "api_key" of the JSON body
	PlaceBearer              // Authorization: Bearer
	PlaceNone                // the endpoint takes no token
)

// Relay is how an answer goes back to the client.
type Relay uint8

// The ways of relaying.
const (
	RelayAsIs   Relay = iota // untouched
	RelayEvents              // as whole "data:" events, since published widgets can read nothing else
)

// Endpoint is one path of DocsGPT that the gate serves, with what holds for it in one version. It is read-only.
type Endpoint struct {
	Name    string // closed set, for metrics and logs: "stream", "answer", ...
	Path    string // canonical
	Method  string // the one method besides OPTIONS
	Group   Group
	Token   Place
	Shape   Shape // of refusals
	Relay   Relay
	Members []Member // of the JSON body; nil: there is no body

	// Agents and Sources tell which kinds of binding work here; Refused is the sentence for the other kind.
	Agents, Sources bool
	Refused         string

	// Conversational is set where a request makes or continues a conversation.
	Conversational bool

	defaultHistory string
}

// Routes are the endpoints that one configuration serves, by canonical path. It is immutable and safe for
// concurrent use.
type Routes struct {
	byPath map[string]*Endpoint
}

// NewRoutes collects the endpoints of the groups in that version. allow names further body members to let through
// (see [CheckAllowed]). No group is an error, and so is one that the version does not have.
func NewRoutes(v *Version, groups []Group, allow []string) (*Routes, error) {
	if len(groups) == 0 {
		return nil, fmt.Errorf("no endpoint group is named: known are %s", groupList())
	}
	for _, name := range allow {
		if err := CheckAllowed(name); err != nil {
			return nil, err
		}
	}
	routes := &Routes{byPath: map[string]*Endpoint{}}
	for _, group := range groups {
		if !KnownGroup(group) {
			return nil, fmt.Errorf("unknown endpoint group %q: known are %s", group, groupList())
		}
		found := false
		for _, e := range v.endpoints() {
			if e.Group != group {
				continue
			}
			found = true
			e.Members = withAllowed(e.Members, allow)
			routes.byPath[e.Path] = &e
		}
		if !found {
			return nil, fmt.Errorf("DocsGPT %s has no endpoints of the group %q", v.Name, group)
		}
	}
	return routes, nil
}

// KnownGroup tells whether there is a group of that name.
func KnownGroup(g Group) bool { return slices.Contains(Groups(), g) }

func groupList() string {
	names := make([]string, 0, len(Groups()))
	for _, g := range Groups() {
		names = append(names, string(g))
	}
	return strings.Join(names, ", ")
}

// Find returns the endpoint that DocsGPT would serve for a decoded URL path, or nil. Like DocsGPT it takes repeated
// leading slashes for one (a widget whose host ends in a slash sends "//stream"); any other spelling that is not
// the canonical one finds nothing.
func (r *Routes) Find(path string) *Endpoint {
	if path == "" || path[0] != '/' {
		return nil
	}
	for len(path) > 1 && path[1] == '/' {
		path = path[1:]
	}
	return r.byPath[path]
}

// Endpoints returns the served endpoints in no particular order.
func (r *Routes) Endpoints() []*Endpoint {
	all := make([]*Endpoint, 0, len(r.byPath))
	for _, e := range r.byPath {
		all = append(all, e)
	}
	return all
}

const (
	needsAgent = "This endpoint works only with a key that is bound to an agent; this key is bound to a source."
	noFeedback = "This DocsGPT takes feedback only from people who are signed in to it."
)

// endpoints are all that the version has, in every group.
func (v *Version) endpoints() []Endpoint {
	answerMembers := chatMembers
	if v.ArrayHistory {
		answerMembers = arrayChatMembers
	}
	list := []Endpoint{
		{
			Name: "stream", Path: "/stream", Method: http.MethodPost, Group: GroupWidget, Shape: ShapeEvent,
			Relay: RelayEvents, Members: chatMembers, Agents: true, Sources: true, Conversational: true,
			defaultHistory: v.StreamHistory,
		},
		{
			Name: "answer", Path: "/api/answer", Method: http.MethodPost, Group: GroupWidget, Shape: ShapeJSON,
			Members: answerMembers, Agents: true, Sources: true, Conversational: true, defaultHistory: v.AnswerHistory,
		},
	}
	if v.Search != SearchNone {
		list = append(list, Endpoint{
			Name: "search", Path: "/api/search", Method: http.MethodPost, Group: GroupWidget, Shape: ShapeJSON,
			Members: searchMembers, Agents: true, Sources: v.Search == SearchAny, Refused: needsAgent,
		})
	}
	feedback := Endpoint{
		Name: "feedback", Path: "/api/feedback", Method: http.MethodPost, Group: GroupWidget, Shape: ShapeJSON,
		Refused: noFeedback,
	}
	switch v.Feedback {
	case FeedbackOpen:
		feedback.Members, feedback.Agents, feedback.Sources = openFeedbackMembers, true, true
	case FeedbackKeyed:
		feedback.Members, feedback.Agents, feedback.Refused = keyedFeedbackMembers, true, needsAgent
	case FeedbackNone:
		feedback.Members = openFeedbackMembers
	}
	list = append(list, feedback)
	if v.OpenAI {
		list = append(list, Endpoint{
			Name: "completions", Path: "/v1/chat/completions", Method: http.MethodPost, Group: GroupOpenAI,
			Token: PlaceBearer, Shape: ShapeOpenAI, Members: completionMembers, Agents: true, Refused: needsAgent,
		})
	}
	if v.Models {
		list = append(list, Endpoint{
			Name: "models", Path: "/v1/models", Method: http.MethodGet, Group: GroupOpenAI,
			Token: PlaceBearer, Shape: ShapeOpenAI, Agents: true, Refused: needsAgent,
		})
	}
	if v.Health {
		list = append(list, Endpoint{
			Name: "health", Path: "/api/health", Method: http.MethodGet, Group: GroupHealth, Token: PlaceNone,
			Shape: ShapeJSON,
		})
	}
	return list
}
