package ui

import (
	"encoding/json"
	"strings"
)

const placeholderGate = "https://ask.example.com"

// snippet is sample code that uses a token.
type snippet struct {
	ID    string // for element IDs
	Title string
	Note  string
	Code  string
}

// snippets returns the sample code for a token of a gate. OpenAI clients work with agents only.
func snippets(gate, token string, agent bool) []snippet {
	fill := strings.NewReplacer("GATE_URL", strings.TrimRight(gate, "/"), "YOUR_KEY", token,
		"GATE_JS", quoted(strings.TrimRight(gate, "/")), "KEY_JS", quoted(token)).Replace
	all := []snippet{
		{
			"html", "Widget", "Take dist/modern/browser.js out of the npm package docsgpt 0.5.1 and put it on your site, here " +
				"as /docsgpt-0.5.1.js. Visitors can read the key in the source of the page; that is by design.",
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
		{"react", "React", "With the npm package docsgpt 0.5.1.", `import { DocsGPTWidget } from "docsgpt";

export const Ask = () => (
  <DocsGPTWidget
    apiHost=GATE_JS
    apiKey=KEY_JS
    title="Ask the manual"
    showSources={true}
  />
);`},
		{"curl", "curl", "The response is a stream of events.", `curl -sSN GATE_URL/stream \
  -H 'Content-Type: application/json' \
  -d '{"question": "How do I begin?", "history": "[]", "api_key": "YOUR_KEY"}'`},
		{
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
		},
	}
	if agent {
		all = append(
			all,
			snippet{"openai-js", "OpenAI (JavaScript)", openAINote, `import OpenAI from "openai";

const client = new OpenAI({
  baseURL: "GATE_URL/v1",
  apiKey: KEY_JS,
});
const answer = await client.chat.completions.create({
  model: "docsgpt",
  messages: [{ role: "user", content: "How do I begin?" }],
});
console.log(answer.choices[0].message.content);`},
			snippet{"openai-python", "OpenAI (Python)", openAINote, `from openai import OpenAI

client = OpenAI(
    base_url="GATE_URL/v1",
    api_key=KEY_JS,
)
answer = client.chat.completions.create(
    model="docsgpt",
    messages=[{"role": "user", "content": "How do I begin?"}],
)
print(answer.choices[0].message.content)`},
		)
	}
	for i := range all {
		all[i].Code = fill(all[i].Code)
	}
	return all
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
