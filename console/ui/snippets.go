package ui

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/policy"
)

const placeholderGate = "https://ask.example.com"

// snippet is sample code that uses a token.
type snippet struct {
	ID    string // for element IDs
	Title string
	Note  string
	Code  string
}

// snippets returns the sample code for a token of a key: for web pages unless the key is secret, and for servers unless the key has
// pages, which servers are not.
func snippets(gate, token string, k *keyservice.Key) []snippet {
	p := k.Policy
	if p == nil {
		p = new(policy.Policy)
	}
	pageOnly := len(p.Origins) > 0 && !slices.ContainsFunc(p.Origins, policy.Origin.IsAny)
	allows := func(group string) bool { return len(p.Endpoints) == 0 || slices.Contains(p.Endpoints, group) }
	var all []snippet
	if allows("widget") {
		if p.Kind != policy.Secret {
			all = append(all, pageSnippets(p.Origins)...)
		}
		if pageOnly {
			curl := curlSnippet
			origin := examplePage(p.Origins[0])
			curl.Note = "For tests, with the origin of a page of the key: requests without one are rejected. " + curl.Note
			curl.Code = strings.Replace(curl.Code, " \\\n  -d ", " \\\n  -H 'Origin: "+origin+"' \\\n  -d ", 1)
			all = append(all, curl)
		} else {
			all = append(all, curlSnippet, docsGPTSnippet)
		}
	}
	if k.Binding == "agent" && allows("openai") && !pageOnly {
		all = append(all, openAISnippets...)
	}
	fill := strings.NewReplacer("GATE_URL", strings.TrimRight(gate, "/"), "YOUR_KEY", token,
		"GATE_JS", quoted(strings.TrimRight(gate, "/")), "KEY_JS", quoted(token)).Replace
	for i := range all {
		all[i].Code = fill(all[i].Code)
	}
	return all
}

// pageSnippets returns the sample code for web pages.
func pageSnippets(origins []policy.Origin) []snippet {
	where := ""
	if len(origins) > 0 {
		where = " The key works on " + pagesOf(origins) + "."
	}
	return []snippet{
		{
			"html", "Widget", "Take dist/modern/browser.js out of the npm package docsgpt 0.5.1 and put it on your site, here " +
				"as /docsgpt-0.5.1.js. Visitors can read the key in the source of the page; that is by design." + where,
			`<div id="app"></div>
<script src="/docsgpt-0.5.1.js" type="module"></script>
<script type="module">
  renderDocsGPTWidget("app", {
    apiHost: GATE_JS,
    apiKey: KEY_JS,
    title: "Ask the manual",
    showSources: true,
  });
</script>`,
		},
		{"react", "React", "With the npm package docsgpt 0.5.1." + where, `import { DocsGPTWidget } from "docsgpt";

export const Ask = () => (
  <DocsGPTWidget
    apiHost=GATE_JS
    apiKey=KEY_JS
    title="Ask the manual"
    showSources={true}
  />
);`},
	}
}

var curlSnippet = snippet{"curl", "curl", "The response is a stream of events.", `curl -sSN GATE_URL/stream \
  -H 'Content-Type: application/json' \
  -d '{"question": "How do I begin?", "history": "[]", "api_key": "YOUR_KEY"}'`}

var docsGPTSnippet = snippet{
	"docsgpt", "DocsGPT API", "As in DocsGPT's API guide: the complete answer in one response, with its sources.",
	`const response = await fetch("GATE_URL/api/answer", {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({
    question: "How do I begin?",
    api_key: KEY_JS,
  }),
});
const { answer, sources } = await response.json();`,
}

var openAISnippets = []snippet{
	{"openai-js", "OpenAI (JavaScript)", openAINote, `import OpenAI from "openai";

const client = new OpenAI({
  baseURL: "GATE_URL/v1",
  apiKey: KEY_JS,
});
const answer = await client.chat.completions.create({
  model: "docsgpt",
  messages: [{ role: "user", content: "How do I begin?" }],
});
console.log(answer.choices[0].message.content);`},
	{"openai-python", "OpenAI (Python)", openAINote, `from openai import OpenAI

client = OpenAI(
    base_url="GATE_URL/v1",
    api_key=KEY_JS,
)
answer = client.chat.completions.create(
    model="docsgpt",
    messages=[{"role": "user", "content": "How do I begin?"}],
)
print(answer.choices[0].message.content)`},
}

const openAINote = `The gate must serve "endpoints openai". Any model name works: the agent determines the model.`

// quoted returns a text as a JavaScript literal, which is also a valid Python literal and, here, a JSX attribute.
func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil {
		return `""` // cannot fail for a string
	}
	return string(b)
}
