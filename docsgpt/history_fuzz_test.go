package docsgpt

import (
	"bytes"
	"testing"
)

// slowly does the same as checkHistory without the fast path for compact text.
func slowly(raw []byte, l *Limits) ([]byte, error) {
	p := newNested()
	defer p.free()
	if err := p.loadText(raw); err != nil {
		return nil, err
	}
	return p.readHistory(raw[:0], true, l)
}

// The fast path accepts only histories that the parser accepts, with the same result.
func FuzzCompactHistory(f *testing.F) {
	const pair = `{\"prompt\":\"p\",\"response\":\"r\"}`
	for _, seed := range []string{
		`[]`, `[` + pair + `]`, `[` + pair + `,` + pair + `]`, `[` + pair + `,{\"prompt\":\"q\"}]`, `[{\"prompt\":\"q\"},` + pair + `]`,
		`[{\"prompt\":\"\\\"\\\\\\n\\u00fc\\/ü😀\",\"response\":\"\"}]`, `[{\"prompt\":\"\\ud83d\\ude00\",\"response\":\"\\ud7ff\"}]`,
		`[{\"prompt\":\"\\ud800\",\"response\":\"\"}]`, `[{\"prompt\":\"\\x\",\"response\":\"\"}]`, `[{\"prompt\":\"\n\",\"response\":\"\"}]`,
		`[{\"prompt\":\"\u005c\",\"response\":\"\"}]`, `[` + pair + `]]`, `[` + pair + `,]`, `[` + pair, `[{\"prompt\":\"p`, `[{\"prompt\":\"\\`,
		`[{\"prompt\":\"\\\\\",\"response\":\"\\\"\"}]`, `[{\"prompt\":\"\\u12\",\"response\":\"\"}]`, `[{\"prompt\":\"p\",\"response\":[]}]`,
		`[{\"prompt\":\"p\",\"response\":\"r\",\"response\":\"s\"}]`, `[{\"prompt\":\"p\",\"prompt\":\"q\"}]`, ``, `[`, ` []`, `{}`, `null`,
	} {
		f.Add([]byte(seed), 2, 60)
		f.Add([]byte(seed), 500, 1000)
	}
	f.Fuzz(func(t *testing.T, text []byte, entries, size int) {
		raw := append(append([]byte{'"'}, text...), '"')
		body := append(append([]byte(`{"history":`), raw...), '}')
		e := endpoint(t, "", "stream")
		var b Body
		if b.Parse(e, body) != nil || len(b.fields) != 1 || b.fields[0].end-b.fields[0].start != len(raw) {
			return // no JSON string
		}
		l := &Limits{HistoryEntries: max(1, entries), HistorySize: max(1, size)}
		p := newNested()
		defer p.free()
		fast := bytes.Clone(body)
		at := bytes.Index(fast, raw)
		pairs, end, ok := p.compactHistory(fast, at, l)
		if !bytes.Equal(fast, body) {
			t.Errorf("%q was changed to %q", body, fast)
		}
		if !ok {
			return
		}
		if end != at+len(raw) {
			t.Errorf("%q: the end is at %d", body, end)
		}
		f := field{span: span{at, end}}
		(&Body{buf: fast}).keepPairs(&f, pairs)
		slow, err := slowly(bytes.Clone(raw), l)
		if err != nil || !bytes.Equal(f.of(fast), slow) || f.start < at || f.end > end {
			t.Errorf("%q: fast %q, else %q, %v", raw, f.of(fast), slow, err)
		}
	})
}

// The fast path is useful only if it covers what clients send.
func TestCompactHistoryCoversWidgets(t *testing.T) {
	for _, text := range []string{
		`[]`, `[{"prompt":"hi"}]`, `[{"prompt":"How \"?\"\n\\","response":"ü 😀 \u001f"},{"prompt":"hi"}]`,
	} {
		p := newNested()
		if _, _, ok := p.compactHistory([]byte(inText(text)), 0, &DefaultLimits); !ok {
			t.Errorf("%s is read slowly", text)
		}
		p.free()
	}
}
