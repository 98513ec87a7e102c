package docsgpt

import "slices"

// vulnerability is a weakness of DocsGPT versions that a client with nothing but a key, or without one, can exploit, and
// the gate's protection.
type vulnerability struct {
	First, Last string // names of versions
	Description string // one sentence
	Mitigation  string // one sentence
}

// vulnerabilities are the known ones, roughly by severity, for docs/versions.md.
var vulnerabilities = []vulnerability{
	{
		"0.8", "1.1", "Other fields of a request than the question select its sources, prompt, retriever, model or agent.",
		"Only allow-listed fields are forwarded, and the gate adds the binding.",
	},
	{
		"0.18", "1.1", "The field `llm_params` is merged into the call to the model: it replaces the model, the whole prompt and " +
			"the headers, which makes a public key an open proxy to the owner's model account.",
		"The field is dropped.",
	},
	{
		"0.8", "0.16", "The value of `api_key` is inserted into a database query unchanged: an object such as `{\"$ne\": null}` matches " +
			"some key.",
		"Only a string is accepted as a token, and DocsGPT receives the key that the gate has configured.",
	},
	{
		"0.8", "0.14", "An `api_key` of `null` is looked up as a key, and matches a record without one.",
		"Only a string is accepted as a token.",
	},
	{
		"0.15", "1.1", "A request whose `api_key` is empty, `null` or `0`, misspelled, or in a header or the query, is handled as one without a key. " +
			"Without a login in DocsGPT, it then runs as the owner.",
		"A request without a valid token in the expected location is rejected.",
	},
	{
		"0.8", "0.13", "Anyone can list, create and delete keys, sources, prompts and conversations.",
		"Those paths are not served.",
	},
	{
		"0.8", "0.16", "`/api/upload_index` accepts index files from anyone (in 0.15 and 0.16 unless `INTERNAL_KEY` is set), which " +
			"DocsGPT later unpickles, and `/api/download` serves files to anyone.",
		"Those paths are not served.",
	},
	{
		"0.14", "0.18", "`/api/images/` serves any stored file; in 0.14 and 0.15 any file of the server.",
		"That path is not served.",
	},
	{
		"0.8", "0.10", "A source is a path, and `..` in it leaves the directory of the indexes.",
		"Sources come only from the bindings of keys, which cannot contain such a path.",
	},
	{
		"0.14", "0.14", "On `/stream` a field `agent_id` replaces the key.",
		"The field is dropped.",
	},
	{
		"0.15", "0.17", "The client's `retriever`, `chunks` and `model_id` override the agent's, for example with a web search instead of the source.",
		"The fields are dropped.",
	},
	{
		"0.8", "0.14", "Anyone can add to any conversation, since their IDs can be guessed.",
		"A conversation belongs to the key that created it.",
	},
	{
		"1.1", "1.1", "Entries of `history` may contain anything: images at any URL, files of the owner's model account, calls and " +
			"results of tools that were never called, and lists of texts of any size, since DocsGPT does not count their tokens.",
		"Only pairs of texts are forwarded.",
	},
	{
		"1.1", "1.1", "The cost of a history grows with the square of its entries: 400,000 empty ones, 1.2 MB, take half a minute of " +
			"CPU time.",
		"Entries without a pair are dropped, and the number and size of pairs, messages and texts are limited.",
	},
	{
		"0.15", "1.1", "A key can continue every conversation of its owner, and truncate it with `index`.",
		"A conversation belongs to the key that created it, and `index` is dropped.",
	},
	{
		"0.14", "1.1", "A key can use the attachments that were uploaded with other keys of its owner.",
		"An attachment belongs to the key that uploaded it.",
	},
	{
		"0.8", "1.1", "`/api/task_status` shows the results of all tasks to anyone.",
		"Only tasks of uploads through the gate are served, and of their results only what an uploader needs.",
	},
	{
		"0.12", "0.21", "`/api/tts` converts text to speech for anyone, at the owner's cost.",
		"It is not served, or requires a key.",
	},
	{
		"0.13", "0.16", "`question_index` of feedback is inserted into the update of the database unchanged.",
		"Only an integer is forwarded, and only where DocsGPT accepts feedback with a key.",
	},
	{
		"0.16", "0.16", "`/v1/models` lists all agents of the key's owner.",
		"It is not served.",
	},
	{
		"0.18", "1.1", "On `/v1` an `Idempotency-Key` replays the answer to another question, and since 0.19 a header with a " +
			"session name merges the conversations of all users of the same agent.",
		"Those headers are dropped.",
	},
	{
		"0.17", "1.1", "Keys are case-insensitive: other spellings of a key are the same key with a separate quota.",
		"Tokens are case-sensitive, and DocsGPT receives one spelling of its key.",
	},
	{
		"0.17", "1.1", "MCP opens sessions without a key, does not bind them to one, and answers an invalid key with status 200.",
		"Every request requires the key, and a session belongs to the key that opened it.",
	},
	{
		"1.0", "1.1", "Without a login anyone can create keys and access tokens, by `/api/share` and `/api/user/tokens`.",
		"Those paths are not served.",
	},
	{
		"0.8", "0.15", "Errors contain the texts of exceptions, which may include account data.",
		"The gate replaces the texts of errors.",
	},
	{
		"0.8", "1.1", "Paths such as `//stream` and `/%73tream` are served as `/stream`, which bypasses rules for the raw path.",
		"The gate matches and forwards the decoded path.",
	},
	{
		"0.15", "1.1", "Limits and other errors are JSON on `/stream`, after which published widgets wait forever.",
		"On `/stream` every error is an event that they show.",
	},
	{
		"0.17", "1.1", "Streams contain `id:` lines (0.17.2), and since 0.19 comments: published widgets show an error for every answer.",
		"Widgets get complete `data:` events and nothing else.",
	},
	{
		"0.17", "1.1", "A request body with chunked encoding is read as empty (0.17.1 and newer).",
		"Every body is sent with its length.",
	},
	{
		"0.14", "1.1", "An error with status 400 or 401 may only mean that the database is unavailable.",
		"The gate does not treat the key as invalid, and logs the error for the operator.",
	},
}

// vulnerabilitiesOf returns the known vulnerabilities of a version that the gate mitigates.
func vulnerabilitiesOf(v *Version) []vulnerability {
	names := VersionNames()
	at := slices.Index(names, v.Name)
	var found []vulnerability
	for _, h := range vulnerabilities {
		if slices.Index(names, h.First) <= at && at <= slices.Index(names, h.Last) {
			found = append(found, h)
		}
	}
	return found
}
