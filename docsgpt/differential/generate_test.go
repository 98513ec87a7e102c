package differential

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// generator generates bodies from a grammar of JSON that includes what JSON parsers are known to read differently. The
// same seed yields the same bodies.
type generator struct {
	*rand.Rand
	strings.Builder
}

// one returns one of the choices.
func one[T any](g *generator, choices []T) T { return choices[g.IntN(len(choices))] }

// in returns true once in n times, on average.
func (g *generator) in(n int) bool { return g.IntN(n) == 0 }

var (
	allowed = []string{
		"question", "history", "conversation_id", "answer", "feedback", "question_index", "model", "messages", "stream",
		"stream_options", "temperature", "top_p", "max_tokens", "stop", "seed", "n", "response_format",
	}
	dropped = []string{
		"api_key", "active_docs", "selectedDocs", "selectDocs", "embeddings_key", "agent_id", "llm_params", "index",
		"retriever", "chunks", "prompt_id", "isNoneDoc", "tool_actions", "workflow", "docsgpt", "attachments", "tools",
		"API_KEY", "Api_Key", "api_key ", " api_key", "api-key", "apı_key", "Question", "question\u0000", "", "x", "😀",
	}
	numbers = []string{
		"0", "-0", "0.0", "-0.0", "1", "7", "-1", "1E400", "-1e-400", "1e2", "1E+2", "0.1", "1.10",
		"1.0000000000000000000001", "123456789012345678901234567890", "9007199254740993", "1e-7",
	}
	badNumbers = []string{"NaN", "Infinity", "-Infinity", "+1", "01", "1.", ".5", "0x1", "1_0", "-", "1e", "--1"}
	pieces     = []string{
		"a", "Wie geht's?", "ü", "漢字", "😀", "\u2028", "\u007f", "\ufeff", "\ufffd", `\n`, `\"`, `\\`, `\/`, `\u0000`, `\u0041`,
		`\ud83d\ude00`, `\u00FC`, "{", "}", "[", "]", ",", ":", "//", "<script>", `\\\"`, " ",
	}
	badPieces = []string{
		`\ud800`, `\udc00`, `\ude00\ud83d`, `\ud83d\u0041`, `\x41`, `\u12`, `\`, "\n", "\x00", "\x1f", "\xff",
		"\xc0\xaf", "\xed\xa0\x80", "\xed\xa0\xbd\xed\xb8\x80", "\xf4\x90\x80\x80", "\xe2\x82",
	}
	spaces    = []string{"", "", "", "", "", " ", "\t", "\r\n", "  \n "}
	badSpaces = []string{"\f", "\v", "\u00a0", "\u2028", "/**/", "//\n", "#\n", "\x00"}
)

// bad reports whether to insert something that is not JSON, which about one body in six has.
func (g *generator) bad() bool { return g.in(150) }

func (g *generator) space() {
	if g.bad() && g.in(3) {
		g.WriteString(one(g, badSpaces))
	}
	g.WriteString(one(g, spaces))
}

func (g *generator) text() {
	g.WriteByte('"')
	for range g.IntN(5) {
		if g.bad() {
			g.WriteString(one(g, badPieces))
			continue
		}
		g.WriteString(one(g, pieces))
	}
	g.WriteByte('"')
}

// name writes a field's name, sometimes partly escaped.
func (g *generator) name(name string) {
	escape := g.in(5)
	g.WriteByte('"')
	for _, c := range name {
		switch {
		case c == 0, c < 0x80 && escape && g.in(3):
			fmt.Fprintf(g, one(g, []string{`\u%04x`, `\u%04X`}), c)
		default:
			g.WriteRune(c)
		}
	}
	g.WriteByte('"')
}

func (g *generator) number() {
	if g.bad() {
		g.WriteString(one(g, badNumbers))
		return
	}
	g.WriteString(one(g, numbers))
}

func (g *generator) value(depth int) {
	kind := g.IntN(8)
	if depth > 3 {
		kind = g.IntN(5)
	}
	switch kind {
	case 0:
		g.WriteString(one(g, []string{"true", "false"}))
	case 1:
		g.WriteString("null")
	case 2:
		g.number()
	case 3, 4:
		g.text()
	case 5, 6:
		g.array(g.IntN(4), func() { g.value(depth + 1) })
	case 7:
		g.object(g.IntN(4), func(int) {
			g.name(one(g, dropped))
			g.colon()
			g.value(depth + 1)
		})
	}
}

func (g *generator) colon() {
	g.space()
	g.WriteByte(':')
	g.space()
}

func (g *generator) list(opening, closing byte, n int, item func(int)) {
	g.WriteByte(opening)
	g.space()
	for i := range n {
		if i > 0 {
			g.WriteByte(',')
			g.space()
		}
		item(i)
		g.space()
	}
	if g.bad() && g.in(3) {
		g.WriteByte(',')
	}
	g.WriteByte(closing)
}

func (g *generator) array(n int, item func()) { g.list('[', ']', n, func(int) { item() }) }

func (g *generator) object(n int, member func(int)) { g.list('{', '}', n, member) }

// fitting writes a value that the gate usually accepts for a field.
func (g *generator) fitting(name string) {
	switch name {
	case "question", "answer", "api_key", "model", "text", "session_id":
		g.text()
	case "history":
		g.history()
	case "conversation_id":
		g.WriteString(one(g, []string{`"c"`, `"7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"`, `"\u0063"`, `""`, `"None"`, "null"}))
	case "feedback":
		g.WriteString(one(g, []string{`"LIKE"`, `"DISLIKE"`, "null"}))
	case "question_index":
		g.WriteString(one(g, []string{"0", "1", "12", "-0", "1.0", "1e1"}))
	case "messages":
		g.array(g.IntN(3), g.message)
	case "stream":
		g.WriteString(one(g, []string{"true", "false", "null"}))
	case "temperature", "top_p", "max_tokens", "seed", "n":
		g.number()
	case "jsonrpc":
		g.WriteString(one(g, []string{`"2.0"`, `"2.0"`, `"2.0"`, `"\u0032.0"`, `"1.0"`}))
	case "id":
		g.WriteString(one(g, []string{"1", "0", `"a"`, "1.5", "null", "12345678901234567890"}))
	case "method":
		g.WriteString(one(g, []string{`"tools/list"`, `"ping"`, `"initialize"`, `"tools/call"`, `"tools\/call"`, `"resources/list"`}))
	case "params":
		g.WriteString(one(g, []string{
			"{}", `{"name":"search_docs","arguments":{"query":"q","chunks":2}}`, `{"name":"search_docs","name":"x"}`,
			`{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}`,
			`{"name":"other","arguments":{}}`, `{"_meta":{"progressToken":1}}`,
		}))
	case "stream_options", "response_format":
		g.WriteString(one(g, []string{"{}", "null", `{"include_usage":true}`, `{"a":{"a":1.50}}`}))
	default:
		g.value(0)
	}
}

// history writes a history, usually as text.
func (g *generator) history() {
	inner := &generator{Rand: g.Rand}
	inner.space()
	inner.array(g.IntN(4), inner.entry)
	inner.space()
	switch {
	case g.in(6):
		g.WriteString(inner.String())
		return
	case g.in(12):
		g.WriteString(one(g, []string{`"null"`, `"{}"`, `"{\"a\":1}"`, `"1"`, `"\"[]\""`, `"[]]"`, `"\ufeff[]"`, `"[NaN]"`, `""`, "null"}))
		return
	}
	g.WriteByte('"')
	for _, c := range []byte(inner.String()) { // bytes, for not all of it is text
		switch {
		case c == '"' && g.in(8), c == '\\' && g.in(8), c < ' ', c < 0x80 && g.in(60):
			fmt.Fprintf(g, one(g, []string{`\u%04x`, `\u%04X`}), c)
		case c == '"' || c == '\\':
			g.WriteByte('\\')
			g.WriteByte(c)
		default:
			g.WriteByte(c)
		}
	}
	g.WriteByte('"')
}

// entry writes an entry of a history, usually a pair with additional fields.
func (g *generator) entry() {
	if g.in(60) {
		g.value(0)
		return
	}
	names := []string{"prompt", "response"}
	if g.in(6) {
		names = names[:g.IntN(2)]
	}
	for range g.IntN(3) {
		names = append(names, one(g, []string{
			"sources", "feedback", "error", "thought", "metadata", "tool_calls", "Prompt", "response\x00", "x", "",
		}))
	}
	if g.in(50) {
		names = append(names, one(g, []string{"prompt", "response", "x"}))
	}
	g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	g.object(len(names), func(i int) {
		g.name(names[i])
		g.colon()
		switch {
		case g.in(60), names[i] != "prompt" && names[i] != "response":
			g.value(1)
		case g.in(30):
			g.WriteString("null")
		default:
			g.text()
		}
	})
}

func (g *generator) message() {
	more := 0
	if g.in(3) {
		more = 1 + g.IntN(2)
	}
	roles := []string{`"user"`, `"assistant"`, `"tool"`, `"system"`}
	first := g.IntN(2 + more) // what others go before
	g.object(2+more, func(i int) {
		switch {
		case i == first:
			g.name("role")
			g.colon()
			g.WriteString(one(g, roles))
			return
		case i != (first+1)%(2+more):
			g.name(one(g, []string{"docsgpt", "tool_calls", "tool_call_id", "name", "conversation_id", "refusal", "Content", "role\x00"}))
			g.colon()
			g.WriteString(one(g, []string{"null", `"a"`, "[1.50, {}]", `{"conversation_id" : "c"}`}))
			return
		}
		g.name("content")
		g.colon()
		switch g.IntN(4) {
		case 0:
			g.WriteString(one(g, []string{
				"null", `[{"type":"text","text":"q"}]`, `[{"type":"image_url","image_url":{}}]`, `[{"type":"text","file":{}}]`,
				`"q","content":[{"type":"file"}]`, `[{"type":"text","type":"file"}]`, `["q"]`, `{}`, "[]", `[{}]`,
			}))
		default:
			g.text()
		}
	})
}

// needed are the required fields of one kind of request.
var needed = [][]string{
	{"question"},
	{"question", "history", "conversation_id"},
	{"question", "answer", "feedback", "conversation_id", "question_index"},
	{"question", "answer", "feedback"},
	{"model", "messages", "stream"},
	{"text"},
	{"session_id"},
	{"jsonrpc", "id", "method", "params"},
}

// body returns one body.
func (g *generator) body() []byte {
	g.Reset()
	names := append([]string(nil), one(g, needed)...)
	if !g.in(6) {
		names = append(names, "api_key")
	}
	for range g.IntN(4) {
		names = append(names, one(g, dropped))
	}
	if g.in(8) {
		names = append(names, one(g, allowed))
	}
	if g.in(4) {
		names = unique(names)
	}
	g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	g.space()
	g.object(len(names), func(i int) {
		g.name(names[i])
		g.colon()
		if g.in(40) {
			g.value(0)
			return
		}
		g.fitting(names[i])
	})
	g.space()
	if g.bad() {
		g.WriteString(one(g, []string{"{}", "x", ",", "\x00", "null", `{"api_key":"t"}`}))
	}
	return g.broken([]byte(g.String()))
}

// broken damages one body in twenty by a byte, or by another encoding.
func (g *generator) broken(body []byte) []byte {
	if !g.in(20) {
		return body
	}
	at := g.IntN(len(body))
	switch g.IntN(5) {
	case 0:
		return body[:at]
	case 1:
		return append(body[:at], body[at+1:]...)
	case 2:
		body[at] = byte(g.IntN(256))
		return body
	case 3:
		return append([]byte("\ufeff"), body...)
	default:
		var wide []byte
		for _, c := range body {
			wide = append(wide, c, 0)
		}
		return wide
	}
}

func unique(names []string) []string {
	seen := map[string]bool{}
	kept := names[:0]
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			kept = append(kept, name)
		}
	}
	return kept
}

func TestDifferentialGenerated(t *testing.T) {
	const bodies = 3000
	g := &generator{Rand: rand.New(rand.NewPCG(20, 26))}
	counts, through := map[string]int{}, 0
	for i := range bodies {
		body := g.body()
		names := check(t, body)
		if t.Failed() {
			t.Fatalf("body %d of the generator is at fault", i)
		}
		if len(names) > 0 {
			through++
		}
		for _, name := range names {
			counts[name]++
		}
	}
	t.Logf("%d of %d bodies get through at least one setup", through, bodies)
	// The test proves nothing if the gate rejects everything or the generator writes only simple bodies.
	if through < bodies/3 || through > bodies*9/10 {
		t.Errorf("%d of %d bodies get through: the test says too little", through, bodies)
	}
	for _, s := range setups {
		if counts[s.name] < bodies/100 {
			t.Errorf("only %d of %d bodies get through %s", counts[s.name], bodies, s.name)
		}
	}
}
