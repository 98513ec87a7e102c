package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The credentials of all runs. Clients present the token to the gate, and DocsGPT must receive the agent key in its place. Plain
// Caddy forwards the token, and the stub accepts both. Unknown tokens differ with each request.
const (
	goodToken     = "dgk_bench_only_0123456789abcdef01234567"
	agentKey      = "00000000-beac-4000-8000-0123456789ab"
	unknownPrefix = "dgk_bench_unknown_"
	unknownDigits = len(goodToken) - len(unknownPrefix)
)

// A marker in the question selects the stub's response, so that one path can have several.
const (
	markSlow  = "[slow]"  // a stream of many events, flushed separately
	markHold  = "[hold]"  // a stream that starts and stays open
	markTimed = "[timed]" // as markSlow, with the time at which each event is written
)

// slowEvents is the number of answer events in a slow stream.
const slowEvents = 40

// scenario is a kind of traffic.
type scenario struct {
	Name          string
	Description   string
	Path          string
	Marker        string // prefix of the question
	History       int    // minimum size of the history, in bytes
	Stream        bool   // of an OpenAI client
	UnknownTokens bool   // each request has another unknown token
	Requests      int    // per round and proxy
	Budgets       map[proxyMode]budget
}

// budget is the project's limit for a figure, such as a ratio to plain Caddy, with an optional stretch goal. Zero: none.
type budget struct{ Limit, Stretch float64 }

// scenarios lists all scenarios, in the order of the report.
var scenarios = []scenario{
	{
		Name: "widget", Description: "widget question, short stream", Path: "/stream", Requests: 10000,
		Budgets: map[proxyMode]budget{builtin: {0.8, 0.45}, reverseProxy: {1.15, 0}},
	},
	{
		Name: "answer", Description: "question, JSON answer", Path: "/api/answer", Requests: 10000,
		Budgets: map[proxyMode]budget{builtin: {0.8, 0.45}, reverseProxy: {1.15, 0}},
	},
	{
		Name: "history-32k", Description: "widget question, 32 KB history", Path: "/stream", History: 32 << 10,
		Requests: 5000,
		Budgets:  map[proxyMode]budget{builtin: {0.55, 0.45}},
	},
	{
		Name: "history-1m", Description: "widget question, 1 MB history", Path: "/stream", History: 1 << 20, Requests: 300,
		Budgets: map[proxyMode]budget{builtin: {1, 0.8}},
	},
	{
		Name: "events", Description: fmt.Sprintf("widget question, %d events 1 ms apart", slowEvents), Path: "/stream",
		Marker: markSlow, Requests: 1000,
	},
	{
		Name: "unknown", Description: "flood of unknown keys", Path: "/stream", UnknownTokens: true, Requests: 10000,
		Budgets: map[proxyMode]budget{builtin: {0.25, 0.15}, reverseProxy: {0.25, 0.15}},
	},
	{
		Name: "openai", Description: "OpenAI client, JSON answer", Path: chatPath, Requests: 10000,
		Budgets: map[proxyMode]budget{builtin: {0.48, 0}},
	},
	{
		Name: "openai-stream", Description: "OpenAI client, stream", Path: chatPath, Stream: true, Requests: 10000,
	},
	{
		Name: "openai-unknown", Description: "OpenAI client, flood of unknown keys", Path: chatPath, UnknownTokens: true,
		Requests: 10000,
	},
}

// chatPath is the path of OpenAI clients, whose key is in the header Authorization.
const chatPath = "/v1/chat/completions"

// holdScenario is the scenario whose streams stay open. It is not part of the comparison of CPU time.
var holdScenario = scenario{Name: "hold", Description: "open stream", Path: "/stream", Marker: markHold}

// timedScenario measures the delay of events. It is not part of the comparison of CPU time, either.
var timedScenario = scenario{Name: "timed", Description: "delay of an event", Path: "/stream", Marker: markTimed}

func scenarioNames() []string {
	names := make([]string, len(scenarios))
	for i := range scenarios {
		names[i] = scenarios[i].Name
	}
	return names
}

// findScenarios parses a comma-separated list of scenarios. An empty list means all.
func findScenarios(list string) ([]scenario, error) {
	if list == "" {
		return scenarios, nil
	}
	var found []scenario
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(scenarios, func(k scenario) bool { return k.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown scenario %q: choose from %s", name, strings.Join(scenarioNames(), ", "))
		}
		found = append(found, scenarios[i])
	}
	return found, nil
}

// forwardedHistory returns what the gate forwards of a history: without the current question, which has no response yet.
func forwardedHistory(history string) string {
	end := strings.LastIndex(history, `{"prompt":`)
	return strings.TrimSuffix(history[:end], ",") + "]"
}

// history returns the text of a conversation of at least n bytes as widgets send it: pairs of prompt and response, and the
// question at the end.
func history(n int) string {
	type turn struct {
		Prompt   string `json:"prompt"`
		Response string `json:"response,omitempty"`
	}
	var turns []turn
	for i, size := 0, 0; size < n; i++ {
		t := turn{
			Prompt:   fmt.Sprintf("Question %d: how do I set \"option %d\" in the configuration?", i, i),
			Response: strings.Repeat("Open the file *settings*, go to the section named below,\nand set it there. ", 6),
		}
		turns = append(turns, t)
		size += len(t.Prompt) + len(t.Response)
	}
	turns = append(turns, turn{Prompt: "How do I install it?"})
	text, err := json.Marshal(turns)
	if err != nil {
		panic(err) // strings and slices of strings
	}
	return string(text)
}

// question returns the text of the question.
func (k *scenario) question() string { return strings.TrimSpace(k.Marker + " How do I install it?") }

// body returns the request body of the published widgets, with the fields in their order, or that of an OpenAI client.
func (k *scenario) body(token string) []byte {
	if k.Path == chatPath {
		stream := ""
		if k.Stream {
			stream = `,"stream":true`
		}
		return fmt.Appendf(nil, `{"messages":[{"role":"user","content":%q}],"model":"docsgpt-agent"%s}`, k.question(), stream)
	}
	body, err := json.Marshal(struct {
		Question     string  `json:"question"`
		History      string  `json:"history"`
		Conversation *string `json:"conversation_id"`
		Model        string  `json:"model"`
		Key          string  `json:"api_key"`
	}{k.question(), history(k.History), nil, "default", token})
	if err != nil {
		panic(err) // strings
	}
	return body
}

const userAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"

// request returns the bytes of a request that a browser sends for a widget on another site, or of an OpenAI client.
func (k *scenario) request(host, token string) []byte {
	body := k.body(token)
	if k.Path == chatPath {
		return append([]byte("POST "+k.Path+" HTTP/1.1\r\nHost: "+host+"\r\n"+
			"Connection: keep-alive\r\n"+
			"Accept: application/json\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python 2.8.0\r\n"+
			"X-Stainless-Lang: python\r\nX-Stainless-Package-Version: 2.8.0\r\nX-Stainless-Retry-Count: 0\r\n"+
			"Authorization: Bearer "+token+"\r\nAccept-Encoding: gzip, deflate\r\n"+
			fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body))), body...)
	}
	head := "POST " + k.Path + " HTTP/1.1\r\nHost: " + host + "\r\n" +
		"Connection: keep-alive\r\n" +
		fmt.Sprintf("Content-Length: %d\r\n", len(body)) +
		"User-Agent: " + userAgent + "\r\n" +
		"Content-Type: application/json\r\n" +
		"Accept: */*\r\n" +
		"Origin: https://docs.example.com\r\n" +
		"Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n" +
		"Referer: https://docs.example.com/\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
		"Accept-Language: en-US,en;q=0.9\r\n\r\n"
	return append([]byte(head), body...)
}

// unknownToken returns the nth unknown token.
func unknownToken(n uint64) string { return fmt.Sprintf("%s%0*d", unknownPrefix, unknownDigits, n) }

// expectation describes a valid response.
type expectation struct {
	status   int
	contains []string
	absent   []string
}

func (k *scenario) expect(p proxyMode) expectation {
	switch {
	case p == respond: // to all keys
	case k.UnknownTokens && !p.checksKeys():
		return expectation{status: 400, contains: []string{stubError}}
	case k.UnknownTokens && !p.isGate():
		return expectation{status: 401}
	case k.UnknownTokens && k.Path == chatPath:
		return expectation{status: 401, contains: []string{"invalid_api_key"}}
	case k.UnknownTokens:
		return expectation{status: 401, contains: []string{`"type":"error"`, "invalid_api_key"}}
	}
	e := expectation{status: 200, contains: []string{answerStart}, absent: []string{`"type":"error"`}}
	switch {
	case k.Marker == markHold:
	case k.Stream:
		e.contains = append(e.contains, answerEnd, "data: [DONE]")
	case k.Path == "/stream":
		e.contains = append(e.contains, answerEnd, `{"type": "end"}`)
	default:
		e.contains = append(e.contains, answerEnd)
	}
	if p.isGate() && k.Path == "/stream" {
		e.absent = append(e.absent, "\nid:") // the gate removes these lines
	}
	return e
}
