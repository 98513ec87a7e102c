package docsgpt

import (
	"strings"
	"testing"
)

// found is DocsGPT's response to a search of one source, with the texts and scores of its results.
func found(kind string, hits ...string) []byte {
	out := `{"latency_ms":14,"retrieval":{"chunks":6,"retriever":"classic"},"chunks":[`
	for i, hit := range hits {
		text, score, _ := strings.Cut(hit, "=")
		if i > 0 {
			out += ","
		}
		out += `{"filename":"` + text + `.md","rank":1,"relevance":null,"score":` + score + `,"score_kind":` + kind +
			`,"source":"` + text + `.md","text":"` + text + `","title":"docs/` + text + `.md","tokens":52}`
	}
	return []byte(out + `],"success":true,"total":1}`)
}

func TestMergeHits(t *testing.T) {
	const near, like, fused, other = `"l2_distance"`, `"cosine_similarity"`, `"rrf"`, `"pagerank"`
	for name, c := range map[string]struct {
		lists [][]byte
		want  string
	}{
		"a distance: less is better":                 {[][]byte{found(near, "a=0.5", "b=0.9"), found(near, "c=0.4", "d=0.7")}, "c a d b"},
		"a likeness: more is better":                 {[][]byte{found(like, "a=0.5", "b=0.4"), found(like, "c=0.9", "d=0.45")}, "c a d b"},
		"fused ranks":                                {[][]byte{found(fused, "a=0.02"), found(fused, "b=0.03")}, "b a"},
		"different kinds take turns":                 {[][]byte{found(near, "a=0.5", "b=0.9"), found(like, "c=0.1", "d=0.1")}, "a c b d"},
		"a kind that is not known":                   {[][]byte{found(other, "a=1", "b=2"), found(other, "c=3", "d=4")}, "a c b d"},
		"no scores":                                  {[][]byte{found("null", "a=null", "b=null"), found("null", "c=null")}, "a c b"},
		"one without a score":                        {[][]byte{found(near, "a=null"), found(near, "b=0.1", "c=0.2")}, "a b c"},
		"ranks are kept over scores":                 {[][]byte{found(near, "a=0.9", "b=0.1"), found(near, "c=0.5")}, "c a b"},
		"equal scores keep the order of the sources": {[][]byte{found(near, "a=1"), found(near, "b=1")}, "a b"},
		"at most as many as one search gives":        {[][]byte{found(near, "a=1", "b=2", "c=3"), found(near, "d=4", "e=5", "f=6")}, "a b c d e"},
		"a text that is there already":               {[][]byte{found(near, "a=1", "b=2"), found(near, "a=1.5", "c=3")}, "a b c"},
		"nothing from one":                           {[][]byte{found(near), found(near, "a=1")}, "a"},
		"nothing at all":                             {[][]byte{found(near)}, ""},
		"a score that no float holds":                {[][]byte{found(near, "a=1e999"), found(near, "b=1")}, "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			var lists [][]Result
			for _, answer := range c.lists {
				hits, err := ReadHits(answer, "id")
				if err != nil {
					t.Fatal(err)
				}
				lists = append(lists, hits)
			}
			var got []string
			for _, hit := range MergeHits(lists) {
				got = append(got, hit.Text)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

func TestAppendHits(t *testing.T) {
	answer := `{"chunks":[
		{"text":"a \"quoted\" text\n","title":"path/to/page.md","filename":"f","source":"https://docs.example.com/page"},
		{"text":"t","title":null,"filename":"file.pdf","source":null},
		{"text":null,"unknown":{"text":"x"}}],"success":true}`
	hits, err := ReadHits([]byte(answer), "id-1")
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"text":"a \"quoted\" text\n","title":"page.md","source":"https://docs.example.com/page"},` +
		`{"text":"t","title":"file.pdf","source":"id-1"},{"text":"","title":"","source":"id-1"}]` + "\n"
	if got := string(AppendHits(nil, hits)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := string(AppendHits(nil, nil)); got != "[]\n" {
		t.Errorf("no hits: %s", got)
	}
}

func TestReadHitsRejectsOtherResponses(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing": "", "a page": "<!doctype html>", "a list": "[]", "text": `"x"`, "no chunks": `{"success":true}`,
		"other chunks": `{"chunks":{}}`, "cut off": `{"chunks":[{"text":"a"}`, "chunks that are no objects": `{"chunks":["a"]}`,
		"broken": `{"chunks":[{"text":}]}`,
	} {
		if hits, err := ReadHits([]byte(answer), "id"); err == nil {
			t.Errorf("%s: got %v", name, hits)
		}
	}
}

func TestSourceQuery(t *testing.T) {
	e := endpoint(t, "", "search")
	for name, c := range map[string]struct{ question, want, err string }{
		"plain":              {`"How do I reset it?"`, `{"query":"How do I reset it?"}`, ""},
		"blanks around it":   {`" \t x\u001f\u0085 "`, `{"query":"x"}`, ""},
		"quotes and escapes": {`"\u00e4 \"x\" \ud83d\ude42 \\"`, `{"query":"ä \"x\" 🙂 \\"}`, ""},
		"an attempt to add":  {`"x\",\"retrieval\":{\"chunks\":500"`, `{"query":"x\",\"retrieval\":{\"chunks\":500"}`, ""},
		"blank":              {`"  "`, "", "empty"},
		"2000 characters":    {`"` + strings.Repeat("漢", 2000) + `"`, `{"query":"` + strings.Repeat("漢", 2000) + `"}`, ""},
		"2001 characters":    {`"` + strings.Repeat("漢", 2001) + `"`, "", "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			var b Body
			body := `{"retrieval":{"chunks":500},"compare":true,"query":"other","question":` + c.question + `,"api_key":"k"}`
			if err := b.Parse(e, []byte(body)); err != nil {
				t.Fatal(err)
			}
			got, err := b.SourceQuery()
			if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) || c.err == "" && err != nil {
				t.Fatalf("error %v, want %q", err, c.err)
			}
			if string(got) != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
