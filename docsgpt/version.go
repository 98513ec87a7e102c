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
	FeedbackNone                      // takes none without an account (0.13 to 0.19)
	FeedbackKeyed                     // takes it with the key that made the conversation (0.20 and newer)
)

// SearchRule is what a version's /api/search needs.
type SearchRule uint8

// The rules that released versions have.
const (
	SearchAny   SearchRule = iota // a key, or active_docs (0.8 to 0.14)
	SearchNone                    // there is no such endpoint (0.15)
	SearchKeyed                   // a key only (0.16 and newer)
)

// InvalidKeyResponse is how a version's /stream says that it does not know a key. The gate translates all of them alike.
type InvalidKeyResponse uint8

// The ways that released versions have.
const (
	BadKeyPage  InvalidKeyResponse = iota // 500 and an HTML page (0.8, 0.9)
	BadKeyNamed                           // 401 and an event that says so (0.10 to 0.13)
	BadKeyEvent                           // 400 and an event of no telling (0.14 and newer)
)

// Dialect is what a version's /stream looks like: always "data:" lines of JSON, which end with an event of the type
// "end" or "error", and this beside them. The zero value is the oldest.
type Dialect struct {
	Typed      bool // a piece of the answer has the type "answer"; before, it has no type
	Numbered   bool // "id:" lines, which published widgets cannot read
	Keepalives bool // comment lines in silences, which they cannot read either
}

// Fingerprint tells a version from the one before it by what anybody may ask its server. The zero value: nothing does.
type Fingerprint struct {
	Post       string // a path that is there and takes only POST: a GET of it is answered with 405
	Has        string // a path that is in the server's description of itself, /swagger.json (0.11 and newer)
	AbsentPath string // one that is not there any more
}

// AttachmentRule is whose files a version's /api/store_attachment takes.
type AttachmentRule uint8

// The rules that released versions have.
const (
	AttachmentsNone    AttachmentRule = iota // there is no such endpoint (0.8 to 0.13)
	AttachmentsAccount                       // an account's only (0.14)
	AttachmentsAny                           // an account's or a key's (0.15 and newer)
)

// ArtifactRule is where a version's /api/artifacts takes a key.
type ArtifactRule uint8

// The rules that released versions have.
const (
	ArtifactsNone   ArtifactRule = iota // there is no such endpoint (0.8 to 0.18)
	ArtifactsQuery                      // in the query (0.19 to 0.21)
	ArtifactsBearer                     // in the header Authorization too (1.0 and newer)
)

// SpeechRule is what a version can do with speech.
type SpeechRule uint8

// The rules that released versions have.
const (
	SpeechNone  SpeechRule = iota // nothing (0.8 to 0.11)
	SpeechOut                     // text to speech, for anybody (0.12 to 0.15)
	SpeechBoth                    // and speech to text, for an account or a key (0.16 to 0.21)
	SpeechKeyed                   // both, for a key, and not for access tokens (1.0 and newer)
)

// Version is what one DocsGPT release line does differently from others. All that the gate does differently for it
// follows from these fields; nothing compares version numbers.
type Version struct {
	Name string // "1.1"
	Mark Fingerprint

	SourceID    SourceForm
	ManySources bool // active_docs may be a list
	Accounts    bool // requests without a key need a credential of an account; before, everybody was the owner

	Search       SearchRule
	SourceSearch bool // has /api/sources/<id>/search, which takes the credential of an account
	Feedback     FeedbackRule
	OpenAI       bool // has /v1/chat/completions
	Models       bool // has a /v1/models that lists only the key's own agent (0.16 lists all of the owner's)
	MCP          bool // has /mcp/ (since 0.17.1; of 0.17 only the first release has none, and answers 404)
	Health       bool // has /api/health

	Attachments AttachmentRule
	Artifacts   ArtifactRule
	Speech      SpeechRule

	// FinishesAbandoned is set where DocsGPT goes on with an answer whose client has disconnected (0.17.1 and newer).
	FinishesAbandoned bool

	ArrayHistory bool // /api/answer takes "history" as an array, not as JSON text

	// Description a request without "history" gets, as JSON; empty where the version does without. Versions that need the
	// member fail without it.
	StreamHistory, AnswerHistory string

	BadKey  InvalidKeyResponse
	Limits  bool // agents have limits, whose refusals are JSON on every endpoint
	Dialect Dialect
}

// Default is the version that is assumed when none is configured: the newest known.
const Default = "1.1"

// Auto in place of a version's name stands for the one that the upstream turns out to be, see [Detect].
const Auto = "auto"

// noHistory is what a request gets that has no history, where DocsGPT needs one.
const noHistory = `"[]"`

var versions = []Version{
	legacyVersion("0.8", BadKeyPage, Fingerprint{Post: "/api/create_api_key"}),
	legacyVersion("0.9", BadKeyPage, Fingerprint{}),
	legacyVersion("0.10", BadKeyNamed, Fingerprint{Post: "/api/share"}),
	mongoVersion("0.11", Fingerprint{Has: "/api/get_message_analytics"}, Version{ArrayHistory: true, StreamHistory: noHistory}),
	mongoVersion("0.12", Fingerprint{Has: "/api/tts"}, Version{ArrayHistory: true, StreamHistory: noHistory, Speech: SpeechOut}),
	mongoVersion("0.13", Fingerprint{Has: "/api/get_tools"}, Version{
		Feedback: FeedbackNone, StreamHistory: noHistory, AnswerHistory: noHistory, Speech: SpeechOut,
	}),
	agentVersion("0.14", Fingerprint{Has: "/api/create_agent"}, Version{AnswerHistory: noHistory, Attachments: AttachmentsAccount}),
	agentVersion("0.15", Fingerprint{Has: "/api/mcp_server/save"}, Version{ManySources: true, Search: SearchNone, Limits: true}),
	agentVersion("0.16", Fingerprint{Has: "/api/stt"}, Version{
		ManySources: true, Search: SearchKeyed, OpenAI: true, Health: true, Limits: true,
		Speech: SpeechBoth,
	}),
	postgresVersion("0.17", Fingerprint{Has: "/api/stt", AbsentPath: "/api/delete_by_ids"}, Version{}),
	postgresVersion("0.18", Fingerprint{Has: "/api/teams"}, Version{}),
	postgresVersion("0.19", Fingerprint{Has: "/api/artifacts"}, Version{SourceSearch: true, Dialect: keepalives, Artifacts: ArtifactsQuery}),
	postgresVersion("0.20", Fingerprint{}, Version{
		SourceSearch: true, Feedback: FeedbackKeyed, Dialect: keepalives, Artifacts: ArtifactsQuery,
	}),
	postgresVersion("0.21", Fingerprint{Has: "/api/artifacts", AbsentPath: "/api/artifacts/{artifact_id}/download"}, Version{
		SourceSearch: true, Feedback: FeedbackKeyed, Dialect: keepalives, Artifacts: ArtifactsQuery,
	}),
	postgresVersion("1.0", Fingerprint{Has: "/api/user/tokens"}, Version{
		SourceSearch: true, Feedback: FeedbackKeyed, Dialect: keepalives, Artifacts: ArtifactsBearer, Speech: SpeechKeyed,
	}),
	postgresVersion("1.1", Fingerprint{Has: "/api/sources/defaults"}, Version{
		SourceSearch: true, Feedback: FeedbackKeyed, Dialect: keepalives, Artifacts: ArtifactsBearer, Speech: SpeechKeyed,
	}),
}

// The dialects since events have types.
var (
	typed      = Dialect{Typed: true}
	numbered   = Dialect{Typed: true, Numbered: true}
	keepalives = Dialect{Typed: true, Numbered: true, Keepalives: true}
)

// legacyVersion is a version without accounts whose sources are paths.
func legacyVersion(name string, key InvalidKeyResponse, m Fingerprint) Version {
	return Version{Name: name, Mark: m, SourceID: SourcePath, ArrayHistory: true, BadKey: key}
}

// mongoVersion is a version without accounts whose sources are documents of MongoDB.
func mongoVersion(name string, m Fingerprint, v Version) Version {
	v.Name, v.Mark, v.SourceID, v.BadKey = name, m, SourceObjectID, BadKeyNamed
	return v
}

// agentVersion is a version with accounts whose keys, in MongoDB, are those of agents.
func agentVersion(name string, m Fingerprint, v Version) Version {
	v.Name, v.Mark, v.SourceID, v.BadKey = name, m, SourceObjectID, BadKeyEvent
	v.Accounts, v.Feedback, v.Dialect = true, FeedbackNone, typed
	if v.Attachments == AttachmentsNone {
		v.Attachments = AttachmentsAny
	}
	if v.Speech == SpeechNone {
		v.Speech = SpeechOut
	}
	return v
}

// postgresVersion is a version whose keys and sources are in PostgreSQL.
func postgresVersion(name string, m Fingerprint, v Version) Version {
	v.Name, v.Mark, v.SourceID, v.BadKey = name, m, SourceUUID, BadKeyEvent
	v.Accounts, v.ManySources, v.Search, v.Limits = true, true, SearchKeyed, true
	v.OpenAI, v.Models, v.Health = true, true, true
	v.MCP, v.Attachments, v.FinishesAbandoned = true, AttachmentsAny, true
	if v.Speech == SpeechNone {
		v.Speech = SpeechBoth
	}
	if v.Feedback == FeedbackOpen {
		v.Feedback = FeedbackNone
	}
	if v.Dialect == (Dialect{}) {
		v.Dialect = numbered
	}
	return v
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
	return nil, fmt.Errorf("unknown DocsGPT version %q: known are %s; name the newest one that is not newer than yours, "+
		"or auto", name, strings.Join(VersionNames(), ", "))
}

func isDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
