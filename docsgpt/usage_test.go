package docsgpt

import (
	"errors"
	"testing"
)

func TestUsage(t *testing.T) {
	for body, want := range map[string]struct {
		tokens   Tokens
		sole, ok bool
	}{
		`{"choices":[{"index":0}],"usage":{"prompt_tokens":5,"completion_tokens":8,"total_tokens":13}}`: {Tokens{5, 8, 13}, false, true},
		`{"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 8}}`:                        {Tokens{5, 8, 13}, true, true},
		`{"choices":[{"delta":{"content":"\"usage\": {}"}}]}`:                                           {},
		`{"choices":[],"usage":null}`:                                                                   {},
		`{"choices":[],"usage":{"prompt_tokens":-5,"total_tokens":3}}`:                                  {},
		`{"choices":[],"usage":{"total_tokens":9007199254740992}}`:                                      {},
		`{"choices":[],"usage":{"total_tokens":"5"}}`:                                                   {},
		`{"choices":[],"usage":`:                                                                        {},
		``:                                                                                              {},
	} {
		tokens, sole, ok := Usage([]byte(body))
		if tokens != want.tokens || sole != want.sole || ok != want.ok {
			t.Errorf("%s: %+v, %v, %v", body, tokens, sole, ok)
		}
	}
	if tokens, sole, ok := EventUsage([]byte("data: {\"choices\": [], \"usage\": {\"total_tokens\": 7}}\n\n")); tokens != (Tokens{Total: 7}) || !sole || !ok {
		t.Errorf("an event: %+v, %v, %v", tokens, sole, ok)
	}
}

func TestEventText(t *testing.T) {
	for event, want := range map[string]int{
		`data: {"choices": [{"delta": {"content": "some words"}}]}`:        10,
		`data: {"choices": [{"delta": {"content": "a \"quoted\" word"}}]}`: 17,
		`data: {"choices": [{"delta": {}}]}`:                               0,
		`data: {"choices": [{"delta": {"content": "ab`:                     2,
		`data: [DONE]`: 0,
	} {
		if got := EventText([]byte(event)); got != want {
			t.Errorf("%s: %d, want %d", event, got, want)
		}
	}
}

func TestCountText(t *testing.T) {
	f := SSEFilter{CountText: true}
	if _, err := f.Filter(nil, []byte(recorded)); err != nil {
		t.Fatal(err)
	}
	if n := f.Text(); n < 80 || n > 250 {
		t.Errorf("%d bytes", n)
	}
	plain := SSEFilter{}
	if _, err := plain.Filter(nil, []byte(recorded)); err != nil || plain.Text() != 0 {
		t.Errorf("without CountText: %d bytes, %v", plain.Text(), err)
	}
}

// The gate asks for the usage in place of the client, and knows whether the client has asked, too.
func TestRewriteUsage(t *testing.T) {
	const start = `{"messages":[{"role":"user","content":"q"}]`
	for body, want := range map[string]struct {
		asks bool
		out  string
	}{
		start + `}`:               {false, start + `}`},
		start + `,"stream":true}`: {false, start + `,"stream":true,"stream_options":{"include_usage":true}}`},
		start + `,"stream_options":{"include_usage":false},"stream":true}`:     {false, start + `,"stream":true,"stream_options":{"include_usage":true}}`},
		start + `,"stream_options":null,"stream":true}`:                        {false, start + `,"stream":true,"stream_options":{"include_usage":true}}`},
		start + `,"stream":true,"stream_options":{ "include_usage" : true } }`: {true, start + `,"stream":true,"stream_options":{"include_usage":true}}`},
	} {
		e := endpoint(t, "", "completions")
		var b Body
		if err := errors.Join(b.Parse(e, buffer(body)), b.Check(e)); err != nil {
			t.Fatal(err)
		}
		if got := b.AsksForUsage(); got != want.asks {
			t.Errorf("%s: the client asks %v", body, got)
		}
		if out := string(b.Rewrite(e, Binding{Agent: "k", Usage: true}, true)); out != want.out {
			t.Errorf("%s: %s, want %s", body, out, want.out)
		}
	}
}
