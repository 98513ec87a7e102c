package docsgpt

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// scanSeeds are texts that are valid in a JSON string, and texts that are not.
var scanSeeds = []string{
	``, `"`, `"x`, `\"`, `\\"`, `\/\b\f\n\r\t"`, `\a"`, `\`, `\u`, `\u12`, `\u12g4"`, `\u0000"`, `\uABcd"`, `a\u00fc`, "tab\t\"", "\x00\"", "\x1f\"", "\x7f\"",
	`\ud83d\ude00"`, `\uDBFF\uDFFF"`, `\ud800\ud800"`, `\ude00"`, `\ud83d"`, `\ud83d\u`, `\ud83d\ude0"`, `\ud83dxude00"`, `\ud83d\n"`,
	"\xed\xa0\x80\"", "\xed\x9f\xbf\"", "\xe0\x9f\xbf\"", "\xe0\xa0\x80\"", "\xc0\xaf\"", "\xc2\x80\"", "\xc2\"", "\xdf\xc0\"", "\xe2\x82\"", "\xe2\x82\xff\"", "\xe2\x82",
	"\xf0\x8f\xbf\xbf\"", "\xf0\x9f\x98\x80\"", "\xf4\x8f\xbf\xbf\"", "\xf4\x90\x80\x80\"", "\xff\"", "\x80\"", "ü€😀\ufffd\x7f\"", "\ufeff\"",
	"aaaaaaaa\x1faa\"", `aaaaaaa"aaaaaaaa`, `aaaaaaaaaaa!"`, "!\"#]\\^[ \x1f", `"#"#"#"#`, `\]\]\]\]"`, "aaaaaaa\x80aaaaaaaa\"",
	strings.Repeat("text ", 20) + `"`, strings.Repeat("ä", 9) + `"`, strings.Repeat("打开", 9) + `"`,
}

// scanValue accepts the values that jsontext accepts, up to its own limits.
func FuzzScanValue(f *testing.F) {
	for _, s := range scanSeeds {
		f.Add([]byte(`"` + s))
		f.Add([]byte(`"1234567` + s))
		f.Add([]byte(`{"` + s + `:["` + s + `]}`))
	}
	for _, s := range []string{
		`null`, `true`, `false`, `nul`, `True`, `nullx`, `0`, `-0`, `-`, `01`, `1.`, `.5`, `1.50`, `-1.5e+10`, `1E-7`, `1e`, `1e+`, `+1`, `NaN`, `-Infinity`, `1_0`, `0x1`,
		`[]`, `[ ]`, `[1,2]`, `[1,]`, `[,1]`, `[1 2]`, `[1`, `]`, `{}`, `{ }`, `{"a":1}`, `{"a":1,"a":2}`, `{"a" : 1 , "b":[{}]}`, `{"a":1,}`, `{"a"}`, `{a:1}`, `{1:2}`, `{"a":}`,
		`[}`, `{]`, "[\n\t\r 1]", "[\v1]", "[\u00a01]", `[/**/]`, strings.Repeat("9", maxDigits), strings.Repeat("9", maxDigits+1), ``,
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
	} {
		f.Add([]byte(s))
		f.Add([]byte(s + ` ,"x"`))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if skipSpace(text, 0) > 0 {
			return // not the beginning of a value
		}
		want := -1
		value, err := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true)).ReadValue()
		if err == nil && checkNested(value) == nil {
			want = len(value)
		}
		if got := scanValue(text, 0, maxDepth); got != want {
			t.Errorf("%q: the end is at %d, want %d (%v)", text, got, want, err)
		}
	})
}

// parsed is what is forwarded of a body.
func parsed(e *Endpoint, body []byte, parse func(b *Body) error) (b Body, forwarded string, err error) {
	b = Body{buf: bytes.Clone(body)}
	b.fields = b.inline[:0]
	if err = parse(&b); err != nil {
		return b, "", err
	}
	before := b
	before.fields = append([]field(nil), b.fields...)
	if err = b.Check(e); err == nil {
		forwarded = string(b.Rewrite(e, Binding{Agent: "agent"}, true))
	}
	return before, forwarded, err
}

// The fast parser reads the bodies that it accepts as jsontext does, and leaves others unchanged.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"question":"q","history":"[{\"prompt\":\"p\",\"response\":\"r\"},{\"prompt\":\"q\"}]","conversation_id":null,"model":"default","api_key":"t"}`,
		`{"api_key":"t","history":"[]","question":"q"}`, `{"history":"[{\"prompt\":\"\\\"\",\"response\":\"ü\"}]" , "history":"[]"}`,
		`{"messages":[{"role":"user","content":"q"}],"stream":true,"temperature":0.7}`, "\n{ \"question\" : \"q\" }\t", `{}`, `{ }`, `{} x`, `{"a":1,}`, `{"a":1`,
		`{"question":"q","x":[{"y":"\ud800"}]}`, `{"api\u005fkey":"t","question":"q"}`, `{"question":"q"}{}`, `{,}`, `{"a" 1}`, `[]`, ``, `{"history":"[x"}`, `{"history":"[]`,
	} {
		f.Add([]byte(seed))
	}
	endpoints := []*Endpoint{endpoint(f, "", "stream"), endpoint(f, "0.12", "answer"), endpoint(f, "", "completions")}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, e := range endpoints {
			changed := bytes.Clone(body)
			fast := Body{buf: changed}
			ok := fast.parseFast(e)
			if !bytes.Equal(changed, body) {
				t.Fatalf("%q was changed to %q", body, changed)
			}
			if !ok {
				continue
			}
			slow, want, slowErr := parsed(e, body, func(b *Body) error {
				p := newParser(b.buf)
				defer p.free()
				return b.parse(p, e)
			})
			again, got, err := parsed(e, body, func(b *Body) error { return b.Parse(e, b.buf) })
			if got != want || (err == nil) != (slowErr == nil) || err != nil && err.Error() != slowErr.Error() {
				t.Errorf("%q: %q, %v, want %q, %v", body, got, err, want, slowErr)
			}
			if again.token != slow.token || again.streams != slow.streams || len(again.fields) != len(slow.fields) {
				t.Fatalf("%q: %+v, want %+v", body, again, slow)
			}
			for i := range slow.fields {
				if again.fields[i] != slow.fields[i] {
					t.Errorf("%q: field %+v, want %+v", body, again.fields[i], slow.fields[i])
				}
			}
		}
	})
}

// The fast parser is useful only if it covers what clients send.
func TestFastParserCoversClients(t *testing.T) {
	for name, bodies := range map[string][]string{
		"stream": {
			`{"question":"hi","history":"[]","conversation_id":null,"api_key":"token"}`, "\n{\n  \"question\": \"hi\",\n  \"chunks\": 2, \"isNoneDoc\": false\n}\n",
			`{"question":"ü 打 😀 \ud83d\ude00 \n","history":"[{\"prompt\":\"p\",\"response\":\"r\"}]","model":"default","api_key":"token"}`,
		},
		"completions": {`{"model":"docsgpt","messages":[{"role":"user","content":[{"type":"text","text":"q"}]}],"stream":true,"temperature":0.70}`},
	} {
		e := endpoint(t, "", name)
		for _, body := range bodies {
			if b := (Body{buf: []byte(body)}); !b.parseFast(e) {
				t.Errorf("%s is read slowly", body)
			}
		}
	}
}
