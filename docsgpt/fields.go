package docsgpt

import (
	"fmt"
	"slices"
)

// Kinds is a set of JSON kinds.
type Kinds uint8

// The kinds.
const (
	KindString Kinds = 1 << iota
	KindNumber
	KindBool
	KindNull
	KindObject
	KindArray

	anyKind = KindString | KindNumber | KindBool | KindNull | KindObject | KindArray
)

// Validator is a further test of a member's value.
type Validator uint8

// The checks.
const (
	NoValidation      Validator = iota
	CheckConversation           // forwarded only if the gate gave this conversation to this key; else dropped
	CheckOwned                  // the same; else the request is refused
	CheckIndex                  // a whole number from 0 on
	CheckRating                 // "LIKE", "DISLIKE" or null
	CheckMessages               // chat messages; what is not let through in them is dropped
	CheckHistory                // pairs of a question and an answer; null and an empty text count as absent
	CheckTask                   // a job that the gate gave to a key
	CheckAttachments            // a list of attachments of the key's own
	CheckSession                // a live transcription of the key's own; else the request is refused
)

// Field is a member of a request body that the gate lets through. Its value is forwarded byte for byte, but for what is
// inside of it and DocsGPT is not to see.
type Field struct {
	Name     string
	Kinds    Kinds
	Required bool
	Check    Validator

	// Parts and Tools let chat messages hold more than text: contents of other kinds, and calls of tools with what came
	// of them.
	Parts, Tools bool

	inner *layout // of a value with an inner structure that no check is for

	// Missing tells a client that leaves out a required member more than its name, where that alone would not help.
	Missing string
}

// feedbackIndexMessage is for clients such as the widget before 0.5, which rate without saying what.
const feedbackIndexMessage = "this DocsGPT takes feedback on one answer of a conversation, which conversation_id and question_index name; " +
	"the widget sends them from version 0.5 on"

// The allow-lists. Everything else that a client sends is dropped: with a key alone, members of a request can
// replace the prompt, the model and the headers of the call to the owner's model account, read other people's
// conversations or switch retrieval off, and new ones come with each DocsGPT.
var (
	chatMembers = []Field{
		{Name: "question", Kinds: KindString, Required: true},
		{Name: "history", Kinds: KindString | KindNull, Check: CheckHistory}, // JSON text
		{Name: "conversation_id", Kinds: KindString | KindNull, Check: CheckConversation},
	}
	// arrayChatMembers are those of /api/answer where it takes the history as it is and not as JSON text.
	arrayChatMembers = []Field{
		chatMembers[0],
		{Name: "history", Kinds: KindString | KindArray | KindNull, Check: CheckHistory},
		chatMembers[2],
	}
	searchMembers = []Field{
		{Name: "question", Kinds: KindString, Required: true},
	}
	openFeedbackMembers = []Field{
		{Name: "question", Kinds: KindString, Required: true},
		{Name: "answer", Kinds: KindString, Required: true},
		{Name: "feedback", Kinds: KindString | KindNull, Required: true, Check: CheckRating},
	}
	keyedFeedbackMembers = []Field{
		{Name: "question", Kinds: KindString | KindNull},
		{Name: "answer", Kinds: KindString | KindNull},
		{Name: "feedback", Kinds: KindString | KindNull, Required: true, Check: CheckRating},
		{Name: "conversation_id", Kinds: KindString, Required: true, Check: CheckOwned, Missing: feedbackIndexMessage},
		{Name: "question_index", Kinds: KindNumber, Required: true, Check: CheckIndex, Missing: feedbackIndexMessage},
	}
	completionMembers = []Field{
		{Name: "model", Kinds: KindString | KindNull},
		{Name: "messages", Kinds: KindArray, Required: true, Check: CheckMessages},
		{Name: "stream", Kinds: KindBool | KindNull},
		{Name: "stream_options", Kinds: KindObject | KindNull, inner: structures["stream_options"]},
		{Name: "temperature", Kinds: KindNumber | KindNull},
		{Name: "top_p", Kinds: KindNumber | KindNull},
		{Name: "max_tokens", Kinds: KindNumber | KindNull},
		{Name: "max_completion_tokens", Kinds: KindNumber | KindNull},
		{Name: "frequency_penalty", Kinds: KindNumber | KindNull},
		{Name: "presence_penalty", Kinds: KindNumber | KindNull},
		{Name: "stop", Kinds: KindString | KindArray | KindNull, inner: structures["stop"]},
		{Name: "seed", Kinds: KindNumber | KindNull},
		{Name: "n", Kinds: KindNumber | KindNull},
		{Name: "response_format", Kinds: KindObject | KindNull, inner: structures["response_format"]},
	}
)

// MessageParts is no member but a name that an operator may allow beside members: message contents of other kinds
// than text, such as images and files, on the OpenAI endpoints. DocsGPT stores those as the owner's attachments.
const MessageParts = "message_parts"

// memberTools is the member with the tools that a client offers to the model. Where it is allowed, messages may hold calls of
// them.
const memberTools = "tools"

// forbiddenFields are the members that would break the promise that a key reaches only what it is bound to. No option lets
// them through.
var forbiddenFields = []string{
	"api_key", "active_docs", "selectedDocs", "selectDocs", "embeddings_key", "source", "sources", "source_id",
	"extra_source_ids", "retriever", "agent_id", "workflow", "workflow_id", "index", "tool_actions", "docsgpt",
	"conversation_id", // of others: their agent, or their sources, would take over
}

// ForbiddenFields returns the names of the members that no option lets through, for documentation.
func ForbiddenFields() []string { return slices.Clone(forbiddenFields) }

// CheckAllowed tells whether an operator may let a member of that name through.
func CheckAllowed(name string) error {
	if slices.Contains(forbiddenFields, name) {
		return fmt.Errorf("%q cannot be allowed: with it a client could leave the source that its key is bound to", name)
	}
	if name == "" || len(name) > 64 {
		return fmt.Errorf("%s is no name of a body member", quoteID(name))
	}
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_') {
			return fmt.Errorf("%s is no name of a body member: letters, digits and underscores only", quoteID(name))
		}
	}
	return nil
}

// withAllowed adds the operator's members to an endpoint's list.
func withAllowed(list []Field, names []string) []Field {
	if list == nil || len(names) == 0 {
		return list
	}
	list = slices.Clone(list)
	messages := slices.IndexFunc(list, func(m Field) bool { return m.Check == CheckMessages })
	for _, name := range names {
		if messages >= 0 {
			list[messages].Parts = list[messages].Parts || name == MessageParts
			list[messages].Tools = list[messages].Tools || name == memberTools
		}
		// A member that is there already goes on to be checked: most checks are about whose a thing is.
		known := slices.ContainsFunc(list, func(m Field) bool { return m.Name == name })
		if !known && name != MessageParts {
			list = append(list, Field{Name: name, Kinds: anyKind, inner: layoutOf(name)})
		}
	}
	return list
}
