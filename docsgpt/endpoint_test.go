package docsgpt

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func routes(t *testing.T, version string, groups ...Group) *Routes {
	t.Helper()
	v, err := FindVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRoutes(v, groups, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFindCanonicalPathAndLeadingSlashes(t *testing.T) {
	all := routes(t, "", GroupWidget, GroupOpenAI, GroupHealth)
	for path, want := range map[string]string{
		"/stream": "stream", "//stream": "stream", "////stream": "stream", "//api/answer": "answer",
		"/api/search": "search", "/api/feedback": "feedback", "/v1/chat/completions": "completions",
		"/v1/models": "models", "/api/health": "health",
		"": "", "/": "", "//": "", "stream": "", "/stream/": "", "/Stream": "", "/stream ": "", " /stream": "", "/stream\x00": "",
		"/stream;x": "", "/./stream": "", "/../stream": "", "/api//answer": "", "/api/answer/": "", "/api/answer/..": "",
		"/api/upload": "", "/v1": "", "/v1/": "", "/v1/completions": "", "/api/create_api_key": "", "/mcp": "", "\\stream": "",
	} {
		got := ""
		if r := all.Find(path); r != nil {
			got = r.DefaultEndpoint().Name
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}

func TestFindPatterns(t *testing.T) {
	all := routes(t, "", GroupArtifacts)
	const id = "7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"
	for path, want := range map[string]string{
		"/api/artifacts": "artifacts", "/api/artifacts/" + id: "artifact", "//api/artifacts/" + id: "artifact",
		"/api/artifacts/" + id + "/versions/3": "artifact_version", "/api/artifacts/" + id + "/download": "artifact_download",
		"/api/artifacts/": "", "/api/artifacts/x": "", "/api/artifacts/" + id + "/": "", "/api/artifacts//" + id: "",
		"/api/artifacts/" + id + "/versions": "", "/api/artifacts/" + id + "/versions/": "",
		"/api/artifacts/" + id + "/versions/-1": "", "/api/artifacts/" + id + "/versions/3/": "",
		"/api/artifacts/" + id + "/restore": "", "/api/artifacts/{uuid}": "", "/api/artifacts/" + id + "/..": "",
	} {
		got, forwarded := "", ""
		if r := all.Find(path); r != nil {
			got, forwarded = r.DefaultEndpoint().Name, r.Path
		}
		if canonical := "/" + strings.TrimLeft(path, "/"); got != want || want != "" && forwarded != canonical {
			t.Errorf("%s: got %q at %q, want %q", path, got, forwarded, want)
		}
	}
}

func TestHead(t *testing.T) {
	all := routes(t, "", Groups()...)
	for path, want := range map[string]struct{ endpoint, methods string }{
		"/api/health": {"health", "GET, HEAD, OPTIONS"}, "/v1/models": {"models", "GET, HEAD, OPTIONS"},
		"/api/artifacts": {"artifacts", "GET, HEAD, OPTIONS"}, "/api/task_status": {"task_status", "GET, HEAD, OPTIONS"},
		"/mcp": {"", "POST, GET, DELETE, OPTIONS"}, "/stream": {"", "POST, OPTIONS"},
	} {
		got, r := "", all.Find(path)
		if e := r.Endpoint(http.MethodHead); e != nil {
			got = e.Name
		}
		if got != want.endpoint || r.Methods() != want.methods {
			t.Errorf("%s: got %q, methods %q", path, got, r.Methods())
		}
	}
}

func TestGroupsServeOnlyTheirEndpoints(t *testing.T) {
	widget := routes(t, "", GroupWidget)
	if widget.Find("/v1/models") != nil || widget.Find("/api/health") != nil || widget.Find("/stream") == nil {
		t.Error("the widget group is not the widget's endpoints")
	}
	for name, c := range map[string]struct {
		version string
		groups  []Group
		allow   []string
		want    string
	}{
		"no group":              {"1.1", nil, nil, "no endpoint group specified"},
		"an unknown one":        {"1.1", []Group{"admin"}, nil, `unknown endpoint group "admin"`},
		"one the version lacks": {"0.14", []Group{GroupOpenAI}, nil, `DocsGPT 0.14 has no endpoints in the group "openai"`},
		"a field that widens":   {"1.1", []Group{GroupWidget}, []string{"agent_id"}, `"agent_id" cannot be allowed`},
		"the credential":        {"1.1", []Group{GroupWidget}, []string{"api_key"}, `"api_key" cannot be allowed`},
		"an invalid name":       {"1.1", []Group{GroupWidget}, []string{`a"b`}, "is not a valid field name"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := FindVersion(c.version)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := NewRoutes(v, c.groups, c.allow); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// The endpoints of each version, and those that work with a key that is bound to a source.
func TestVersions(t *testing.T) {
	type facts struct{ endpoints, sources string }
	want := map[string]facts{
		"0.8": {"answer feedback search stream", "answer feedback search stream"},
		"0.13": {
			"answer feedback search stream tts",
			"answer search stream tts",
		},
		"0.14": {
			"answer feedback search store_attachment stream task_status tts",
			"answer search store_attachment stream tts",
		},
		"0.15": {
			"answer feedback store_attachment stream task_status tts",
			"answer store_attachment stream tts",
		},
		"0.16": {
			"answer completions feedback health search store_attachment stream stt stt_live_chunk stt_live_finish stt_live_start task_status tts",
			"answer store_attachment stream stt stt_live_chunk stt_live_finish stt_live_start tts",
		},
		"0.17": {
			"answer completions feedback health mcp mcp_end mcp_stream model models search store_attachment stream stt stt_live_chunk stt_live_finish stt_live_start task_status tts",
			"answer store_attachment stream stt stt_live_chunk stt_live_finish stt_live_start tts",
		},
		"0.19": {
			"answer artifact artifact_download artifact_version artifacts completions feedback health mcp mcp_end mcp_stream model models search store_attachment stream stt stt_live_chunk stt_live_finish stt_live_start task_status tts",
			"answer search store_attachment stream stt stt_live_chunk stt_live_finish stt_live_start tts",
		},
		"1.1": {
			"answer artifact artifact_download artifact_version artifacts completions feedback health mcp mcp_end mcp_stream model models search store_attachment stream stt stt_live_chunk stt_live_finish stt_live_start task_status tts",
			"answer search store_attachment stream",
		},
	}
	for name, f := range want {
		v, err := FindVersion(name)
		if err != nil {
			t.Fatal(err)
		}
		var endpoints, sources []string
		for _, e := range v.endpoints() {
			endpoints = append(endpoints, e.Name)
			if e.Sources {
				sources = append(sources, e.Name)
			}
		}
		slices.Sort(endpoints)
		slices.Sort(sources)
		if got := (facts{strings.Join(endpoints, " "), strings.Join(sources, " ")}); got != f {
			t.Errorf("%s: got %+v, want %+v", name, got, f)
		}
	}
}

func TestVersionFieldsAreComplete(t *testing.T) {
	for _, name := range VersionNames() {
		v, err := FindVersion(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range v.endpoints() {
			if (!e.Agents || !e.Sources) && e.Token != TokenNone && !strings.HasSuffix(e.UnsupportedMessage, ".") {
				t.Errorf("%s %s: an unsupported binding has no message", name, e.Name)
			}
			if e.Body != BodyNone && e.Fields == nil {
				t.Errorf("%s %s: a body without an allow-list", name, e.Name)
			}
			for _, m := range e.Fields {
				bound := m.Name == "conversation_id" && (m.Check == CheckConversation || m.Check == CheckOwned)
				if slices.Contains(forbiddenFields, m.Name) && !bound {
					t.Errorf("%s %s lets %s through", name, e.Name, m.Name)
				}
			}
			if v.Accounts && e.Name == "models" && e.Sources {
				t.Errorf("%s: an access token does not work on /v1", name)
			}
		}
	}
}

func TestFindVersion(t *testing.T) {
	for name, want := range map[string]string{"": Default, "1.1": "1.1", "1.1.0": "1.1", "0.17.2": "0.17", "0.8.1": "0.8"} {
		if v, err := FindVersion(name); err != nil || v.Name != want {
			t.Errorf("%q: got %v, %v", name, v, err)
		}
	}
	for _, name := range []string{"2.0", "0.7", "1", "v1.1", "1.1.x", "1.1.0.0", "latest"} {
		if _, err := FindVersion(name); err == nil {
			t.Errorf("%q was found", name)
		}
	}
}

func TestCheckSource(t *testing.T) {
	const object = "65f1c0ffee5eed0123456789"
	for name, c := range map[string]struct{ version, id, want string }{
		"a UUID":                      {"1.1", source, source},
		"a UUID in upper case":        {"1.1", strings.ToUpper(source), source},
		"no dashes":                   {"1.1", strings.ReplaceAll(source, "-", ""), ""},
		"braces":                      {"1.1", "{" + source + "}", ""},
		"blank":                       {"1.1", " " + source, ""},
		"the default source":          {"1.1", "default", ""},
		"an object id in a new one":   {"1.1", object, ""},
		"an object id":                {"0.14", object, object},
		"a UUID in an old one":        {"0.16", source, ""},
		"quotes":                      {"0.14", `65f1c0ffee5eed01234567"'`, ""},
		"the built-in index":          {"0.8", "default", "default"},
		"an uploaded source":          {"0.10", "local/handbook/", "local/handbook/"},
		"out of the index folder":     {"0.10", "local/../", ""},
		"deeper":                      {"0.10", "local/a/b/", ""},
		"a retriever's name":          {"0.9", "duckduck_search", ""},
		"no slash at the end":         {"0.9", "local/handbook", ""},
		"a control character":         {"0.9", "local/a\nb/", ""},
		"a remote index is not known": {"0.8", "en/name/1/model/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := FindVersion(c.version)
			if err != nil {
				t.Fatal(err)
			}
			got, err := v.CheckSource(c.id)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, %v", got, err)
			}
			if err != nil && !strings.Contains(err.Error(), "the line: docsgpt_version VERSION") {
				t.Errorf("the error does not say how to name another version: %v", err)
			}
		})
	}
	for version, many := range map[string]bool{"1.1": true, "0.15": true, "0.14": false, "0.8": false} {
		v, err := FindVersion(version)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.CheckSources(2); (err == nil) != many {
			t.Errorf("%s: two sources: %v", version, err)
		}
		if v.CheckSources(0) == nil || v.CheckSources(1) != nil {
			t.Errorf("%s: no source must be rejected, and one accepted", version)
		}
	}
}
