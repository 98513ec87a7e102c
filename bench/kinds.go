package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The credentials of all runs. The token is what clients present to the gate, the agent key what DocsGPT must get in its
// place. Plain Caddy passes the token on, and the stub takes either. Unknown tokens differ with each request.
const (
	goodToken     = "dgk_bench_only_0123456789abcdef01234567"
	agentKey      = "00000000-beac-4000-8000-0123456789ab"
	unknownPrefix = "dgk_bench_unknown_"
	unknownDigits = len(goodToken) - len(unknownPrefix)
)

// What the stub is asked to do stands in the question, so that the same path can be answered in different ways.
const (
	askSlow = "[slow]" // a stream of many events, each for itself
	askHold = "[hold]" // a stream that begins and stays open
)

// slowEvents is how many answer events a slow stream has.
const slowEvents = 40

// kind is one kind of traffic.
type kind struct {
	Name     string
	About    string
	Path     string
	Ask      string // the question begins with it
	History  int    // bytes of conversation so far, at least
	Unknown  bool   // the token is unknown, and another one each time
	Requests int    // a round, for each proxy
	Budgets  map[proxyKind]budget
}

// budget is the highest ratio to plain Caddy that the project wants to have; Stretch is what it hopes for, zero: nothing.
type budget struct{ Limit, Stretch float64 }

// kinds are all kinds, in the order of the report.
var kinds = []kind{
	{
		Name: "widget", About: "widget question, short stream", Path: "/stream", Requests: 10000,
		Budgets: map[proxyKind]budget{own: {0.8, 0.45}, via: {1.15, 0}},
	},
	{
		Name: "answer", About: "question, JSON answer", Path: "/api/answer", Requests: 10000,
		Budgets: map[proxyKind]budget{own: {0.8, 0.45}, via: {1.15, 0}},
	},
	{
		Name: "history-32k", About: "widget question, 32 KB history", Path: "/stream", History: 32 << 10,
		Requests: 5000,
		Budgets:  map[proxyKind]budget{own: {0.55, 0.45}},
	},
	{
		Name: "history-1m", About: "widget question, 1 MB history", Path: "/stream", History: 1 << 20, Requests: 300,
		Budgets: map[proxyKind]budget{own: {1, 0.8}},
	},
	{
		Name: "events", About: fmt.Sprintf("widget question, %d events 1 ms apart", slowEvents), Path: "/stream",
		Ask: askSlow, Requests: 1000,
	},
	{
		Name: "unknown", About: "flood of unknown keys", Path: "/stream", Unknown: true, Requests: 10000,
		Budgets: map[proxyKind]budget{own: {0.25, 0.15}, via: {0.25, 0.15}},
	},
}

// holdKind is the kind whose answers stay open. It is no part of the comparison by CPU time.
var holdKind = kind{Name: "hold", About: "open stream", Path: "/stream", Ask: askHold}

func kindNames() []string {
	names := make([]string, len(kinds))
	for i := range kinds {
		names[i] = kinds[i].Name
	}
	return names
}

// findKinds returns the kinds that a list with commas names; an empty list names all.
func findKinds(list string) ([]kind, error) {
	if list == "" {
		return kinds, nil
	}
	var found []kind
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(kinds, func(k kind) bool { return k.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown kind %q: known are %s", name, strings.Join(kindNames(), ", "))
		}
		found = append(found, kinds[i])
	}
	return found, nil
}

// history is the text of a conversation so far, as widgets send it, of at least n bytes: pairs of prompt and response,
// and the question itself at the end.
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

// question is the text of a kind's question.
func (k *kind) question() string { return strings.TrimSpace(k.Ask + " How do I install it?") }

// body is the request body that the published widgets send, in their order.
func (k *kind) body(token string) []byte {
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

// request is a whole request as a browser sends it for a widget on another site.
func (k *kind) request(host, token string) []byte {
	body := k.body(token)
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

// unknownToken is the nth unknown token.
func unknownToken(n uint64) string { return fmt.Sprintf("%s%0*d", unknownPrefix, unknownDigits, n) }

// expectation is what an answer to a client must be.
type expectation struct {
	status   int
	contains []string
	absent   []string
}

func (k *kind) expect(p proxyKind) expectation {
	switch {
	case k.Unknown && p == plain:
		return expectation{status: 400, contains: []string{stubRefusal}}
	case k.Unknown:
		return expectation{status: 401, contains: []string{`"type":"error"`, "invalid_api_key"}}
	}
	e := expectation{status: 200, contains: []string{answerStart}, absent: []string{`"type":"error"`}}
	switch {
	case k.Ask == askHold:
	case k.Path == "/stream":
		e.contains = append(e.contains, answerEnd, `{"type": "end"}`)
	default:
		e.contains = append(e.contains, answerEnd)
	}
	if p != plain && k.Path == "/stream" {
		e.absent = append(e.absent, "\nid:") // the gate leaves these lines out
	}
	return e
}
