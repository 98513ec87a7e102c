package docsgpt

import (
	"fmt"
	"slices"
	"strings"
)

// Kinds is a set of JSON kinds. The zero value contains none.
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

// String returns the kinds as a phrase for clients, such as "a string or a list". Null is not listed: it is accepted
// instead of leaving a field out.
func (k Kinds) String() string {
	var names []string
	for _, kind := range []struct {
		Kinds
		name string
	}{
		{KindString, "a string"}, {KindNumber, "a number"}, {KindBool, "a boolean"}, {KindObject, "an object"}, {KindArray, "a list"},
	} {
		if k&kind.Kinds != 0 {
			names = append(names, kind.name)
		}
	}
	return strings.Join(names, " or ")
}

// Validator is an additional check of a field's value, besides its kind.
type Validator uint8

// The validators.
const (
	NoValidation      Validator = iota
	CheckConversation           // forwarded only if the conversation belongs to the key; else dropped
	CheckOwned                  // forwarded only if the conversation belongs to the key; else the request is rejected
	CheckIndex                  // a non-negative integer
	CheckRating                 // "LIKE", "DISLIKE" or null
	CheckMessages               // chat messages; fields that are not allowed in them are dropped
	CheckHistory                // pairs of a question and an answer; null and an empty text are dropped
	CheckTask                   // a task that belongs to a key
	CheckAttachments            // a list of attachments that belong to the key
	CheckSession                // a live transcription that belongs to the key; else the request is rejected
)

// Field is a field of a request body that is forwarded. Its value is forwarded byte for byte, except for parts of a
// structured value that DocsGPT must not see.
type Field struct {
	Name     string
	Kinds    Kinds
	Required bool
	Check    Validator

	// Parts and Tools let chat messages contain more than text: Parts allows other kinds of content, Tools allows tool
	// calls and their results.
	Parts, Tools bool

	inner *layout // of a structured value without a validator; nil: none

	// Missing is a hint for clients that omit a required field, where the field's name alone would not help.
	Missing string
}

// feedbackIndexMessage is for clients, such as the widget before 0.5, that send a rating without naming the answer.
const feedbackIndexMessage = "this DocsGPT requires conversation_id and question_index, which identify the answer; " +
	"the widget sends them from version 0.5 on"

// The allow-lists. All other fields of a request are dropped: with nothing but a key, a field can replace the prompt, the
// model and the headers of the call to the owner's model account, read other conversations or disable retrieval, and each
// version of DocsGPT adds new ones.
var (
	chatFields = []Field{
		{Name: "question", Kinds: KindString, Required: true},
		{Name: "history", Kinds: KindString | KindNull, Check: CheckHistory}, // JSON text
		{Name: "conversation_id", Kinds: KindString | KindNull, Check: CheckConversation},
	}
	// arrayChatFields are those of /api/answer in versions that take the history as a list and not as JSON text.
	arrayChatFields = []Field{
		chatFields[0],
		{Name: "history", Kinds: KindString | KindArray | KindNull, Check: CheckHistory},
		chatFields[2],
	}
	searchFields = []Field{
		{Name: "question", Kinds: KindString, Required: true},
	}
	openFeedbackFields = []Field{
		{Name: "question", Kinds: KindString, Required: true},
		{Name: "answer", Kinds: KindString, Required: true},
		{Name: "feedback", Kinds: KindString | KindNull, Required: true, Check: CheckRating},
	}
	keyedFeedbackFields = []Field{
		{Name: "question", Kinds: KindString | KindNull},
		{Name: "answer", Kinds: KindString | KindNull},
		{Name: "feedback", Kinds: KindString | KindNull, Required: true, Check: CheckRating},
		{Name: "conversation_id", Kinds: KindString, Required: true, Check: CheckOwned, Missing: feedbackIndexMessage},
		{Name: "question_index", Kinds: KindNumber, Required: true, Check: CheckIndex, Missing: feedbackIndexMessage},
	}
	completionFields = []Field{
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

// MessageParts is not a field, but a name that an operator may allow like one. It allows message contents other than
// text, such as images and files, on the OpenAI endpoints. DocsGPT stores those as attachments of the owner.
const MessageParts = "message_parts"

// fieldTools is the field with the tools that a client offers to the model. If it is allowed, messages may contain calls
// of these tools.
const fieldTools = "tools"

// forbiddenFields would break the guarantee that a key reaches only what it is bound to. No option allows them.
var forbiddenFields = []string{
	"api_key", "active_docs", "selectedDocs", "selectDocs", "embeddings_key", "source", "sources", "source_id",
	"extra_source_ids", "retriever", "agent_id", "workflow", "workflow_id", "index", "tool_actions", "docsgpt",
	"conversation_id", // another conversation's agent or sources would take effect
}

// CheckAllowed returns an error unless an operator may allow the field of that name.
func CheckAllowed(name string) error {
	if slices.Contains(forbiddenFields, name) {
		return fmt.Errorf("%q cannot be allowed: it would let a client leave the source that its key is bound to", name)
	}
	if name == "" || len(name) > 64 {
		return fmt.Errorf("%s is not a valid field name", quoteID(name))
	}
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_') {
			return fmt.Errorf("%s is not a valid field name: use letters, digits and underscores", quoteID(name))
		}
	}
	return nil
}

// withAllowed adds the fields that the operator allows to an endpoint's list.
func withAllowed(list []Field, names []string) []Field {
	if list == nil || len(names) == 0 {
		return list
	}
	list = slices.Clone(list)
	messages := slices.IndexFunc(list, func(m Field) bool { return m.Check == CheckMessages })
	for _, name := range names {
		if messages >= 0 {
			list[messages].Parts = list[messages].Parts || name == MessageParts
			list[messages].Tools = list[messages].Tools || name == fieldTools
		}
		// A field that is listed already keeps its checks: most of them are about ownership.
		known := slices.ContainsFunc(list, func(m Field) bool { return m.Name == name })
		if !known && name != MessageParts {
			list = append(list, Field{Name: name, Kinds: anyKind, inner: layoutOf(name)})
		}
	}
	return list
}
