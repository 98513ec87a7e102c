package docsgpt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNamesSources(t *testing.T) {
	for data, want := range map[string]bool{
		`{"type": "source", "source": [{"title": "lamp.md"}]}`:                true,
		`{"type": "source", "source": []}`:                                    false,
		`{"type":"source","source":[ ]}`:                                      false,
		`{"answer": "x", "sources" : [ {"title": "a"} ]}`:                     true,
		`{"answer": "\"sources\": [1]", "sources": []}`:                       false,
		`{"source": "default", "sources": null}`:                              false,
		`{"source": [], "docsgpt": {"sources": [{"title": "a"}]}}`:            true,
		`{"type": "source"`:                                                   false,
		`{"source":`:                                                          false,
		`{"choices": [{"delta": {"content": "the \"source\": [1]"}}]}`:        false,
		`data: {"docsgpt": {"type": "source", "sources": [{"a": 1}]}}` + "\n": true,
	} {
		if got := NamesSources([]byte(data)); got != want {
			t.Errorf("%s: %v", data, got)
		}
	}
}

func TestStreamSources(t *testing.T) {
	for name, verbatim := range map[string]bool{
		"data: {\"type\": \"source\", \"source\": [{\"title\": \"a\"}]}\n\n":                          false,
		"data: {\"choices\": [], \"docsgpt\": {\"type\": \"source\", \"sources\": [{\"a\": 1}]}}\n\n": true,
	} {
		f := SSEFilter{Verbatim: verbatim, DetectSources: true}
		for _, part := range strings.SplitAfter(name, `"`) {
			if _, err := f.Filter(nil, []byte(part)); err != nil {
				t.Fatal(err)
			}
		}
		if !f.HasSources() {
			t.Errorf("no sources in %s", name)
		}
		f = SSEFilter{Verbatim: verbatim, DetectSources: true}
		if _, err := f.Filter(nil, []byte("data: {\"type\": \"thought\", \"thought\": \"x\"}\n\n")); err != nil || f.HasSources() {
			t.Errorf("sources in a stream without any: %v", err)
		}
	}
}

// Recorded streams of all versions with sources have them.
func TestRecordedSources(t *testing.T) {
	files, err := filepath.Glob("testdata/dialects/*.sse")
	if err != nil || len(files) == 0 {
		t.Fatal("no recordings", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f := SSEFilter{DetectSources: true, Verbatim: strings.Contains(string(raw), "chat.completion.chunk")}
		_, _ = f.Filter(nil, raw)
		if want := strings.Contains(string(raw), `"title":`) || strings.Contains(string(raw), "Manual of the"); want && !f.HasSources() {
			t.Errorf("%s: no sources", file)
		}
	}
}

func TestDislikes(t *testing.T) {
	for _, v := range []string{"1.1", "0.8"} {
		version, err := FindVersion(v)
		if err != nil {
			t.Fatal(err)
		}
		routes, err := NewRoutes(version, []Group{GroupWidget}, nil)
		if err != nil {
			t.Fatal(err)
		}
		e := routes.Find("/api/feedback").Endpoint("POST")
		for rating, want := range map[string]bool{`"DISLIKE"`: true, `"LIKE"`: false, `null`: false} {
			var b Body
			if err := b.Parse(e, []byte(`{"question": "q", "answer": "DISLIKE", "api_key": "k", "feedback": `+rating+`}`)); err != nil {
				t.Fatal(err)
			}
			if b.Dislikes() != want {
				t.Errorf("%s with %s: %v", v, rating, !want)
			}
		}
	}
}
