package docsgpt

import (
	"fmt"
	"strings"
)

// SourceForm is the form of a DocsGPT version's source IDs.
type SourceForm uint8

// The forms in released versions.
const (
	SourcePath     SourceForm = iota // a path such as "default" or "local/handbook/" (0.8 to 0.10)
	SourceObjectID                   // 24 hexadecimal digits (0.11 to 0.16)
	SourceUUID                       // a UUID in lower case (0.17 and newer)
)

// FeedbackRule is whether a version's /api/feedback accepts requests with only a key.
type FeedbackRule uint8

// The rules in released versions.
const (
	FeedbackOpen  FeedbackRule = iota // accepts any feedback (0.8 to 0.12)
	FeedbackNone                      // requires an account (0.13 to 0.19)
	FeedbackKeyed                     // accepts the key that created the conversation (0.20 and newer)
)

// SearchRule is what a version's /api/search requires.
type SearchRule uint8

// The rules in released versions.
const (
	SearchAny   SearchRule = iota // a key, or active_docs (0.8 to 0.14)
	SearchNone                    // there is no such endpoint (0.15)
	SearchKeyed                   // a key only (0.16 and newer)
)

// InvalidKeyResponse is how a version's /stream reports an unknown key. The gate maps all of them to the same error.
type InvalidKeyResponse uint8

// The responses of released versions.
const (
	InvalidKeyPage  InvalidKeyResponse = iota // 500 and an HTML page (0.8, 0.9)
	InvalidKeyNamed                           // 401 and an event that names the reason (0.10 to 0.13)
	InvalidKeyEvent                           // 400 and an event without the reason (0.14 and newer)
)

// Dialect is the format of a version's /stream beside what all versions have: "data:" lines of JSON, ended by an event of
// the type "end" or "error". The zero value is the oldest dialect.
type Dialect struct {
	Typed      bool // events with text have the type "answer"; without it, they have no type
	Numbered   bool // "id:" lines, which published widgets cannot read
	Keepalives bool // comment lines while nothing is sent, which they cannot read either
}

// Fingerprint distinguishes a version from the previous one by what its server shows to anyone. The zero value matches nothing.
type Fingerprint struct {
	Post       string // a path that accepts only POST: a GET returns 405
	Has        string // a path that /swagger.json lists (0.11 and newer)
	AbsentPath string // a path that /swagger.json no longer lists
}

// AttachmentRule is whose uploads a version's /api/store_attachment accepts.
type AttachmentRule uint8

// The rules in released versions.
const (
	AttachmentsNone    AttachmentRule = iota // there is no such endpoint (0.8 to 0.13)
	AttachmentsAccount                       // only those of an account (0.14)
	AttachmentsAny                           // those of an account or a key (0.15 and newer)
)

// ArtifactRule is where a version's /api/artifacts accepts a key.
type ArtifactRule uint8

// The rules in released versions.
const (
	ArtifactsNone   ArtifactRule = iota // there is no such endpoint (0.8 to 0.18)
	ArtifactsQuery                      // in the query (0.19 to 0.21)
	ArtifactsBearer                     // also in the header Authorization (1.0 and newer)
)

// SpeechRule is which speech endpoints a version has.
type SpeechRule uint8

// The rules in released versions.
const (
	SpeechNone  SpeechRule = iota // nothing (0.8 to 0.11)
	SpeechOut                     // text to speech, without authentication (0.12 to 0.15)
	SpeechBoth                    // also speech to text, for an account or a key (0.16 to 0.21)
	SpeechKeyed                   // both, for a key but not for access tokens (1.0 and newer)
)

// Version describes what distinguishes one DocsGPT release line from others. All version-dependent behavior of the gate
// follows from these fields; version numbers are never compared. It is read-only.
type Version struct {
	Name        string // "1.1"
	Fingerprint Fingerprint

	SourceID    SourceForm
	ManySources bool // active_docs may be a list
	Accounts    bool // requests without a key need an account's credential; if false, they run as the owner

	Search       SearchRule
	SourceSearch bool // has /api/sources/<id>/search, which takes the credential of an account
	Feedback     FeedbackRule
	OpenAI       bool // has /v1/chat/completions
	Models       bool // has a /v1/models that lists only the key's agent (in 0.16 it lists all agents of the owner)
	MCP          bool // has /mcp/ (since 0.17.1; 0.17.0 answers 404)
	Health       bool // has /api/health

	Attachments AttachmentRule
	Artifacts   ArtifactRule
	Speech      SpeechRule

	// FinishesAbandoned reports that DocsGPT completes an answer after its client has disconnected (0.17.1 and newer).
	FinishesAbandoned bool

	// CancelsAnswers reports that an answer can be canceled, see [CancelPath] (1.1 and newer).
	CancelsAnswers bool

	Passthrough       bool // stores the field passthrough of chats and makes it available to prompt templates (0.15 and newer)
	OpenAIPassthrough bool // the same for /v1/chat/completions (1.1 and newer)

	ArrayHistory bool // /api/answer takes "history" as an array, not as JSON text

	// StreamHistory and AnswerHistory are the JSON value of "history" that is added to a request without one, for versions
	// that fail without that field; empty: none is added.
	StreamHistory, AnswerHistory string

	InvalidKey InvalidKeyResponse
	Limits     bool // agents have limits; errors about them are JSON on every endpoint
	Dialect    Dialect
}

// Default is the version that is assumed if none is configured: the newest known one.
const Default = "1.1"

// Auto is the value to specify in place of a version if the version is to be detected, see [Detect].
const Auto = "auto"

// noHistory is the history that is added to requests without one, where DocsGPT requires it.
const noHistory = `"[]"`

var versions = []Version{
	legacyVersion("0.8", InvalidKeyPage, Fingerprint{Post: "/api/create_api_key"}),
	legacyVersion("0.9", InvalidKeyPage, Fingerprint{}),
	legacyVersion("0.10", InvalidKeyNamed, Fingerprint{Post: "/api/share"}),
	mongoVersion("0.11", Fingerprint{Has: "/api/get_message_analytics"}, Version{ArrayHistory: true, StreamHistory: noHistory}),
	mongoVersion("0.12", Fingerprint{Has: "/api/tts"}, Version{ArrayHistory: true, StreamHistory: noHistory, Speech: SpeechOut}),
	mongoVersion("0.13", Fingerprint{Has: "/api/get_tools"}, Version{
		Feedback: FeedbackNone, StreamHistory: noHistory, AnswerHistory: noHistory, Speech: SpeechOut,
	}),
	agentVersion("0.14", Fingerprint{Has: "/api/create_agent"}, Version{AnswerHistory: noHistory, Attachments: AttachmentsAccount}),
	agentVersion("0.15", Fingerprint{Has: "/api/mcp_server/save"}, Version{
		ManySources: true, Search: SearchNone, Limits: true, Passthrough: true,
	}),
	agentVersion("0.16", Fingerprint{Has: "/api/stt"}, Version{
		ManySources: true, Search: SearchKeyed, OpenAI: true, Health: true, Limits: true,
		Speech: SpeechBoth, Passthrough: true,
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
		OpenAIPassthrough: true, CancelsAnswers: true,
	}),
}

// The dialects of versions whose events have types.
var (
	typed      = Dialect{Typed: true}
	numbered   = Dialect{Typed: true, Numbered: true}
	keepalives = Dialect{Typed: true, Numbered: true, Keepalives: true}
)

// legacyVersion returns a version without accounts whose sources are paths.
func legacyVersion(name string, key InvalidKeyResponse, m Fingerprint) Version {
	return Version{Name: name, Fingerprint: m, SourceID: SourcePath, ArrayHistory: true, InvalidKey: key}
}

// mongoVersion returns a version without accounts whose sources are documents in MongoDB.
func mongoVersion(name string, m Fingerprint, v Version) Version {
	v.Name, v.Fingerprint, v.SourceID, v.InvalidKey = name, m, SourceObjectID, InvalidKeyNamed
	return v
}

// agentVersion returns a version with accounts whose keys belong to agents, in MongoDB.
func agentVersion(name string, m Fingerprint, v Version) Version {
	v.Name, v.Fingerprint, v.SourceID, v.InvalidKey = name, m, SourceObjectID, InvalidKeyEvent
	v.Accounts, v.Feedback, v.Dialect = true, FeedbackNone, typed
	if v.Attachments == AttachmentsNone {
		v.Attachments = AttachmentsAny
	}
	if v.Speech == SpeechNone {
		v.Speech = SpeechOut
	}
	return v
}

// postgresVersion returns a version whose keys and sources are in PostgreSQL.
func postgresVersion(name string, m Fingerprint, v Version) Version {
	v.Name, v.Fingerprint, v.SourceID, v.InvalidKey = name, m, SourceUUID, InvalidKeyEvent
	v.Accounts, v.ManySources, v.Search, v.Limits = true, true, SearchKeyed, true
	v.OpenAI, v.Models, v.Health = true, true, true
	v.MCP, v.Attachments, v.FinishesAbandoned, v.Passthrough = true, AttachmentsAny, true, true
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

// FindVersion returns the version of that name, such as "1.1". A patch level ("1.1.0", "0.17.2") is accepted and ignored.
// An empty name is [Default]. The error lists the known versions.
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
	return nil, fmt.Errorf("unknown DocsGPT version %q: known are %s; specify the newest one that is not newer than yours, "+
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
