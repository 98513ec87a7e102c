package docsgpt

import "slices"

// Vulnerability is a weakness of DocsGPT versions against somebody who holds nothing but a key, or not even that, and what the
// gate does about it.
type Vulnerability struct {
	First, Last string // names of versions
	Description string // a sentence
	Mitigation  string // a sentence
}

// vulnerabilities are the known ones, roughly by weight.
var vulnerabilities = []Vulnerability{
	{
		"0.8", "1.1", "Members of a request beside the question choose its sources, prompt, retriever, model or agent.",
		"Only members that are on a list pass, and the binding is put in by the gate.",
	},
	{
		"0.18", "1.1", "The member `llm_params` is merged into the call to the model: it replaces the model, the whole prompt and " +
			"the headers, so that a public key is an open proxy to the owner's model account.",
		"It is on no list.",
	},
	{
		"0.8", "0.16", "The value of `api_key` goes into a database query as it is: an object such as `{\"$ne\": null}` matches " +
			"somebody's key.",
		"Only text counts as a token, and what DocsGPT gets is the gate's own.",
	},
	{
		"0.8", "0.14", "An `api_key` of `null` counts as a key, and matches a record without one.",
		"The same.",
	},
	{
		"0.15", "1.1", "An `api_key` that is empty, `null` or `0`, is misspelled, or stands in a header or the query, counts as none. " +
			"Where DocsGPT has no login, the request then runs as its owner.",
		"A request without a valid token in its place goes nowhere.",
	},
	{
		"0.8", "0.13", "Keys, sources, prompts and conversations may be listed, made and deleted by anybody.",
		"Those paths are not served.",
	},
	{
		"0.8", "0.16", "`/api/upload_index` takes index files from anybody (in 0.15 and 0.16 unless `INTERNAL_KEY` is set), which " +
			"DocsGPT later unpickles, and `/api/download` gives files out.",
		"Those paths are not served.",
	},
	{
		"0.14", "0.18", "`/api/images/` gives out any stored file; in 0.14 and 0.15 any file of the server.",
		"That path is not served.",
	},
	{
		"0.8", "0.10", "A source is a path, and `..` in it leaves the folder of the indexes.",
		"Sources come from the keys' own bindings, and such a path cannot be one.",
	},
	{
		"0.14", "0.14", "On `/stream` a member `agent_id` takes the place of the key.",
		"It is on no list.",
	},
	{
		"0.15", "0.17", "The client's `retriever`, `chunks` and `model_id` win over the agent's: a web search in place of the source.",
		"They are on no list.",
	},
	{
		"0.8", "0.14", "Anybody may add to any conversation, whose ids can be guessed.",
		"A conversation belongs to the key that began it.",
	},
	{
		"1.1", "1.1", "Entries of `history` may hold anything: images at any address, files of the owner's model account, calls and " +
			"results of tools that never were, and lists of texts of any size, since these count as no tokens.",
		"Only pairs of texts pass.",
	},
	{
		"1.1", "1.1", "The cost of a history grows with the square of its entries: 400,000 empty ones, 1.2 MB, take half a minute of " +
			"CPU time.",
		"Entries without a pair are dropped, and the number and size of pairs, messages and texts is bounded.",
	},
	{
		"0.15", "1.1", "A key may continue every conversation of its owner, and with `index` cut it off.",
		"A conversation belongs to the key that began it, and `index` is on no list.",
	},
	{
		"0.14", "1.1", "A key may use the attachments that were uploaded with other keys of its owner.",
		"An attachment belongs to the key that uploaded it.",
	},
	{
		"0.8", "1.1", "`/api/task_status` tells the results of all jobs to anybody.",
		"Only of uploads that came through the gate, and of the result only what an uploader needs.",
	},
	{
		"0.12", "0.21", "`/api/tts` turns text into speech for anybody, at the owner's cost.",
		"It is closed, or wants a key.",
	},
	{
		"0.13", "0.16", "`question_index` of feedback is pasted into the update of the database.",
		"Only a whole number is sent, and only where feedback can be of use.",
	},
	{
		"0.16", "0.16", "`/v1/models` lists all agents of the key's owner.",
		"It is not served.",
	},
	{
		"0.18", "1.1", "On `/v1` an `Idempotency-Key` replays the answer to another question, and since 0.19 a header with a " +
			"session's name joins the conversations of all who use the same agent.",
		"Those headers are dropped.",
	},
	{
		"0.17", "1.1", "A key in other letters, upper for lower, is the same key with a fresh quota.",
		"Tokens are compared exactly, and DocsGPT gets one spelling of its key.",
	},
	{
		"0.17", "1.1", "MCP opens sessions without a key, does not tie them to one, and answers a bad key with status 200.",
		"Every call needs the key, and a session belongs to the key that opened it.",
	},
	{
		"1.0", "1.1", "Without a login anybody may make keys and access tokens, by `/api/share` and `/api/user/tokens`.",
		"Those paths are not served.",
	},
	{
		"0.8", "0.15", "Errors tell the texts of exceptions, which may hold account data.",
		"Errors are put in the gate's own words.",
	},
	{
		"0.8", "1.1", "Paths such as `//stream` and `/%73tream` are served as `/stream`, past rules that look at the path as it came.",
		"The gate decides by the decoded path, and sends that.",
	},
	{
		"0.15", "1.1", "Limits and other refusals come as JSON on `/stream`, after which published widgets wait for ever.",
		"On `/stream` every refusal is an event that they show.",
	},
	{
		"0.17", "1.1", "Streams hold `id:` lines (0.17.2), and since 0.19 comments: published widgets show an error for every answer.",
		"Widgets get whole `data:` events and nothing else.",
	},
	{
		"0.17", "1.1", "A request body that is sent in chunks is read as empty (0.17.1 and newer).",
		"Every body goes with its length.",
	},
	{
		"0.14", "1.1", "A refusal by status 400 or 401 may only mean that the database is away.",
		"Nothing is concluded from it about a key; the operator is told.",
	},
}

// Holes returns the known holes of the version that the gate closes.
func (v *Version) Holes() []Vulnerability {
	names := VersionNames()
	at := slices.Index(names, v.Name)
	var found []Vulnerability
	for _, h := range vulnerabilities {
		if slices.Index(names, h.First) <= at && at <= slices.Index(names, h.Last) {
			found = append(found, h)
		}
	}
	return found
}
