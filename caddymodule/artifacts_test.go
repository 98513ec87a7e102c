package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestArtifactsLimitedToOwnConversations(t *testing.T) {
	testUploadModes(t, "", func(t *testing.T, g *gate) {
		own := g.ask("/api/answer", tokenAgent, "make one [[artifact]]", "").conversation(t)
		foreign := g.ask("/api/answer", tokenOther, "make one [[artifact]]", "").conversation(t)
		list := g.send(http.MethodGet, "/api/artifacts?conversation_id="+own+"&api_key="+tokenAgent, "").made(t).Artifacts
		if len(list) != 1 {
			t.Fatalf("%+v", list)
		}
		id := list[0].ID
		if call := g.lastCall(); call.RawQuery != "conversation_id="+bareID(t, own) || call.Header.Get("Authorization") != "Bearer "+agentAlpha {
			t.Errorf("forwarded with query %q, Authorization %q", call.RawQuery, call.Header.Get("Authorization"))
		}
		bearer := []string{"Authorization", "Bearer " + tokenAgent}
		path := "/api/artifacts/" + id
		for name, c := range map[string]struct {
			target  string
			headers []string
			status  int
			want    string // contained in the body, or the error code
		}{
			"list, Bearer": {"/api/artifacts?conversation_id=" + own, bearer, 200, id},
			"one":          {path + "?conversation_id=" + own, bearer, 200, `"kind":"document"`},
			"a version":    {path + "/versions/1?conversation_id=" + own, bearer, 200, `"version":1`},
			"download":     {path + "/download?conversation_id=" + own, bearer, 200, "the second version"},
			"download of a version": {
				path + "/download?version=1&disposition=url&share_token=x&conversation_id=" + own, bearer, 200, "the first version",
			},
			"no key":      {path + "?conversation_id=" + own, nil, 401, "invalid_api_key"},
			"a wrong key": {path + "?api_key=wrong&conversation_id=" + own, nil, 401, "invalid_api_key"},
			"two keys":    {path + "?api_key=" + tokenAgent + "&conversation_id=" + own, bearer, 400, "bad_request"},
			"a source's key": {
				"/api/artifacts?conversation_id=" + own, []string{"Authorization", "Bearer " + tokenSource}, 403, "binding_not_supported",
			},
			"no conversation":        {"/api/artifacts", bearer, 400, "bad_request"},
			"another key":            {path + "?api_key=" + tokenOther + "&conversation_id=" + own, nil, 404, "conversation_not_found"},
			"another's conversation": {"/api/artifacts?conversation_id=" + foreign, bearer, 404, "conversation_not_found"},
			"two conversations": {
				"/api/artifacts?conversation_id=" + own + "&conversation_id=" + foreign, bearer, 400, "bad_request",
			},
			"another conversation's file": {
				path + "?api_key=" + tokenOther + "&conversation_id=" + foreign, nil, 404, "artifact_not_found",
			},
			"an unknown file":    {"/api/artifacts/00000000-0000-4000-8000-000000000000?conversation_id=" + own, bearer, 404, "artifact_not_found"},
			"an unknown version": {path + "/versions/9?conversation_id=" + own, bearer, 404, "artifact_not_found"},
			"no number":          {path + "/versions/x?conversation_id=" + own, bearer, 404, "not_found"},
			"no number, download": {
				path + "/download?version=-1&conversation_id=" + own, bearer, 400, "bad_request",
			},
			"no uuid": {"/api/artifacts/x?conversation_id=" + own, bearer, 404, "not_found"},
			"restore": {path + "/restore?conversation_id=" + own, bearer, 404, "not_found"},
		} {
			t.Run(name, func(t *testing.T) {
				r := g.send(http.MethodGet, c.target, "", c.headers...)
				if r.status != c.status || !strings.Contains(r.body, c.want) {
					t.Errorf("got %d %s, want %d and %q", r.status, r.body, c.status, c.want)
				}
				if c.status != http.StatusOK {
					checkErrorFormat(t, "/api/artifacts", r, c.want)
				}
				assertNoSecrets(t, "the response", r.body+fmt.Sprint(r.header))
			})
		}
		for _, method := range []string{http.MethodDelete, http.MethodPost, http.MethodPut} {
			if r := g.send(method, path+"?conversation_id="+own, "", bearer...); r.status != http.StatusMethodNotAllowed {
				t.Errorf("%s: %d", method, r.status)
			}
		}
	})
}

// A file that a model has written is never displayed as a page of the gate's site.
func TestDownloadHeaders(t *testing.T) {
	testUploadModes(t, "", func(t *testing.T, g *gate) {
		own := g.ask("/api/answer", tokenAgent, "make one [[artifact]]", "").conversation(t)
		id := g.send(http.MethodGet, "/api/artifacts?conversation_id="+own+"&api_key="+tokenAgent, "").made(t).Artifacts[0].ID
		r := g.send(http.MethodGet, "/api/artifacts/"+id+"/download?api_key="+tokenAgent+"&conversation_id="+own, "")
		for name, want := range map[string]string{
			"Content-Disposition": `attachment; filename="notes.txt"`, "X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "sandbox; default-src 'none'", "Content-Type": "text/plain; charset=utf-8",
			"Cache-Control": "private, no-store",
		} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	})
}

// The URL of an object store gives access to the file without a key, and often works only for servers.
func TestObjectStoreRedirectNotRelayed(t *testing.T) {
	testUploadModes(t, "", func(t *testing.T, g *gate) {
		own := g.ask("/api/answer", tokenAgent, "make one [[artifact=external]]", "").conversation(t)
		id := g.send(http.MethodGet, "/api/artifacts?conversation_id="+own+"&api_key="+tokenAgent, "").made(t).Artifacts[0].ID
		for name, headers := range map[string][]string{"a redirect": nil, "as JSON": {"Accept", "application/json"}} {
			r := g.send(http.MethodGet, "/api/artifacts/"+id+"/download?disposition=url&api_key="+tokenAgent+
				"&conversation_id="+own, "", headers...)
			if r.status != http.StatusBadGateway || strings.Contains(r.body+fmt.Sprint(r.header), "store.internal") {
				t.Errorf("%s: %d %v %s", name, r.status, r.header, r.body)
			}
			checkErrorFormat(t, "/api/artifacts", r, "upstream_error")
		}
		if !strings.Contains(g.logs(), "URL_STRATEGY") {
			t.Error("the log does not say how to fix it")
		}
	})
}

func TestSpeech(t *testing.T) {
	testUploadModes(t, "", func(t *testing.T, g *gate) {
		audio, language := filePart("a.wav"), formPart(`name="language"`, "de")
		for name, c := range map[string]struct {
			send   func() response
			status int
			want   string
		}{
			"to text":          {func() response { return g.sendForm("/api/stt", audio, language, keyPart(tokenAgent)) }, 200, "heard a.wav"},
			"the language":     {func() response { return g.sendForm("/api/stt", language, audio, keyPart(tokenAgent)) }, 200, `"language":"de"`},
			"key in the query": {func() response { return g.sendForm("/api/stt?api_key="+tokenAgent, audio) }, 200, "heard a.wav"},
			"two recordings":   {func() response { return g.sendForm("/api/stt", audio, audio, keyPart(tokenAgent)) }, 400, "bad_request"},
			"no recording":     {func() response { return g.sendForm("/api/stt", filePart("a.txt"), keyPart(tokenAgent)) }, 400, "file_not_accepted"},
			"no key":           {func() response { return g.sendForm("/api/stt", audio) }, 401, "invalid_api_key"},
			"a source's key":   {func() response { return g.sendForm("/api/stt", audio, keyPart(tokenSource)) }, 403, "binding_not_supported"},
			"from text":        {func() response { return g.send("POST", "/api/tts?api_key="+tokenAgent, `{"text":"hi"}`) }, 200, "audio_base64"},
			"from text, Bearer": {func() response {
				return g.send("POST", "/api/tts", `{"text":"hi"}`, "Authorization", "Bearer "+tokenAgent)
			}, 200, "audio_base64"},
			"from text, no key":        {func() response { return g.send("POST", "/api/tts", `{"text":"hi"}`) }, 401, "invalid_api_key"},
			"from text, key in body":   {func() response { return g.send("POST", "/api/tts", `{"text":"hi","api_key":"`+tokenAgent+`"}`) }, 401, "invalid_api_key"},
			"from text, a source's":    {func() response { return g.send("POST", "/api/tts?api_key="+tokenSource, `{"text":"hi"}`) }, 403, "binding_not_supported"},
			"from no text":             {func() response { return g.send("POST", "/api/tts?api_key="+tokenAgent, `{"text":" "}`) }, 400, "bad_request"},
			"from something else":      {func() response { return g.send("POST", "/api/tts?api_key="+tokenAgent, `{"text":7}`) }, 400, "bad_request"},
			"from text, a stale agent": {func() response { return g.send("POST", "/api/tts?api_key="+tokenStale, `{"text":"hi"}`) }, 502, "upstream_refused"},
		} {
			t.Run(name, func(t *testing.T) {
				r := c.send()
				if r.status != c.status || !strings.Contains(r.body, c.want) {
					t.Errorf("got %d %s, want %d and %q", r.status, r.body, c.status, c.want)
				}
				if c.status != http.StatusOK {
					checkErrorFormat(t, "/api/stt", r, c.want)
				}
				assertNoSecrets(t, "the response", r.body)
			})
		}
	})
}

// A live transcription belongs to the key that started it.
func TestLiveTranscriptionOwnership(t *testing.T) {
	testUploadModes(t, "", func(t *testing.T, g *gate) {
		start := func(token string) string {
			return g.send("POST", "/api/stt/live/start?api_key="+token, `{"language":"en","user":"x"}`).made(t).SessionID
		}
		own, foreign := start(tokenAgent), start(tokenOther)
		if call := g.lastCall(); string(call.Body) != `{"language":"en"}` || call.RawQuery != "api_key="+agentAlpha {
			t.Errorf("got %s?%s", call.Body, call.RawQuery)
		}
		chunk := func(session, index string) response {
			return g.sendForm("/api/stt/live/chunk", formPart(`name="session_id"`, session), formPart(`name="chunk_index"`, index),
				filePart("a.webm"), keyPart(tokenAgent))
		}
		finish := func(session string) response {
			return g.send("POST", "/api/stt/live/finish?api_key="+tokenAgent, `{"session_id":"`+session+`"}`)
		}
		for _, index := range []string{"0", "1"} {
			if r := chunk(own, index); r.status != http.StatusOK {
				t.Errorf("%d %s", r.status, r.body)
			}
		}
		checkErrorFormat(t, "/api/stt", chunk(own, "0"), "conflict")
		checkErrorFormat(t, "/api/stt", chunk(own, "x"), "bad_request")
		checkErrorFormat(t, "/api/stt", chunk(foreign, "0"), "session_not_found")
		checkErrorFormat(t, "/api/stt", chunk("unknown", "0"), "session_not_found")
		checkErrorFormat(t, "/api/stt", finish(foreign), "session_not_found")
		if r := finish(own); r.status != http.StatusOK || !strings.Contains(r.body, "heard a.webm heard a.webm") {
			t.Errorf("%d %s", r.status, r.body)
		}
		checkErrorFormat(t, "/api/stt", finish(own), "session_not_found")
	})
}
