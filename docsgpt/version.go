package docsgpt

import (
	"fmt"
	"strings"
)

// SourceForm is how a DocsGPT version names its sources.
type SourceForm uint8

// The forms that released versions use.
const (
	SourcePath     SourceForm = iota // a path such as "default" or "local/handbook/" (0.8 to 0.10)
	SourceObjectID                   // 24 hexadecimal digits (0.11 to 0.16)
	SourceUUID                       // a UUID in lower case (0.17 and newer)
)

// FeedbackRule is what a version's /api/feedback does for a caller that has only a key.
type FeedbackRule uint8

// The rules that released versions have.
const (
	FeedbackOpen  FeedbackRule = iota // takes anybody's (0.8 to 0.12)
	FeedbackNone                      // takes none without an account (0.13 to 0.21)
	FeedbackKeyed                     // takes it with the key that made the conversation (1.0 and newer)
)

// SearchRule is what a version's /api/search needs.
type SearchRule uint8

// The rules that released versions have.
const (
	SearchAny   SearchRule = iota // a key, or active_docs (0.8 to 0.14)
	SearchNone                    // there is no such endpoint (0.15)
	SearchKeyed                   // a key only (0.16 and newer)
)

// Version is what one DocsGPT release line does differently from others. All that the gate does differently for it
// follows from these fields; nothing compares version numbers.
type Version struct {
	Name string // "1.1"

	SourceID    SourceForm
	ManySources bool // active_docs may be a list
	Accounts    bool // requests without a key need a credential of an account; before, everybody was the owner

	Search   SearchRule
	Feedback FeedbackRule
	OpenAI   bool // has /v1/chat/completions
	Models   bool // has a /v1/models that lists only the key's own agent (0.16 lists all of the owner's)
	Health   bool // has /api/health

	ArrayHistory bool // /api/answer takes "history" as an array, not as JSON text

	// What a request without "history" gets, as JSON; empty where the version does without. Versions that need the
	// member fail without it.
	StreamHistory, AnswerHistory string
}

// Default is the version that is assumed when none is configured: the newest known.
const Default = "1.1"

var versions = []Version{
	{Name: "0.8", SourceID: SourcePath, ArrayHistory: true},
	{Name: "0.9", SourceID: SourcePath, ArrayHistory: true},
	{Name: "0.10", SourceID: SourcePath, ArrayHistory: true},
	{Name: "0.11", SourceID: SourceObjectID, ArrayHistory: true, StreamHistory: `"[]"`},
	{Name: "0.12", SourceID: SourceObjectID, ArrayHistory: true, StreamHistory: `"[]"`},
	{Name: "0.13", SourceID: SourceObjectID, Feedback: FeedbackNone, StreamHistory: `"[]"`, AnswerHistory: `"[]"`},
	{Name: "0.14", SourceID: SourceObjectID, Accounts: true, Feedback: FeedbackNone, AnswerHistory: `"[]"`},
	{Name: "0.15", SourceID: SourceObjectID, Accounts: true, ManySources: true, Search: SearchNone, Feedback: FeedbackNone},
	{
		Name: "0.16", SourceID: SourceObjectID, Accounts: true, ManySources: true, Search: SearchKeyed, Feedback: FeedbackNone,
		OpenAI: true, Health: true,
	},
	modern("0.17", FeedbackNone),
	modern("0.18", FeedbackNone),
	modern("0.19", FeedbackNone),
	modern("0.20", FeedbackNone),
	modern("0.21", FeedbackNone),
	modern("1.0", FeedbackKeyed),
	modern("1.1", FeedbackKeyed),
}

// modern is a version whose keys and sources are in PostgreSQL.
func modern(name string, feedback FeedbackRule) Version {
	return Version{
		Name: name, SourceID: SourceUUID, Accounts: true, ManySources: true, Search: SearchKeyed, Feedback: feedback,
		OpenAI: true, Models: true, Health: true,
	}
}

// VersionNames returns the known versions, oldest first.
func VersionNames() []string {
	names := make([]string, len(versions))
	for i := range versions {
		names[i] = versions[i].Name
	}
	return names
}

// FindVersion returns the version of that name, such as "1.1"; a patch level ("1.1.0", "0.17.2") is accepted and
// makes no difference. An empty name is [Default]. The error names the known versions.
func FindVersion(name string) (*Version, error) {
	if name == "" {
		name = Default
	}
	line := name
	if parts := strings.SplitN(name, ".", 4); len(parts) == 3 && isDigits(parts[2]) {
		line = parts[0] + "." + parts[1]
	}
	for i := range versions {
		if versions[i].Name == line {
			return &versions[i], nil
		}
	}
	return nil, fmt.Errorf("unknown DocsGPT version %q: known are %s; name the newest one that is not newer than yours",
		name, strings.Join(VersionNames(), ", "))
}

func isDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
