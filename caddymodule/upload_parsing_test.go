package caddymodule_test

import (
	"fmt"
	"net/http"
	"testing"
)

func TestUploadTokenPositions(t *testing.T) {
	testUploadModes(t, "", func(t *testing.T, g *gate) {
		const path, file = "/api/store_attachment", "file[a.txt]=content of a.txt"
		agent := file + "\napi_key[]=" + agentAlpha
		other := formPart(`name="agent_id"`, "x") + formPart(`name="user"`, "y")
		for name, c := range map[string]struct {
			path   string
			parts  []string
			status int
			code   string
			want   string
		}{
			"key first":                {path, []string{keyPart(tokenAgent), filePart("a.txt")}, 200, "", agent},
			"key last":                 {path, []string{filePart("a.txt"), keyPart(tokenAgent)}, 200, "", agent},
			"key in the query":         {path + "?api_key=" + tokenAgent + "&user=x", []string{filePart("a.txt")}, 200, "", agent},
			"other fields are dropped": {path, []string{other, filePart("a.txt"), keyPart(tokenAgent), other}, 200, "", agent},
			"several files": {
				path,
				[]string{filePart("a.txt"), filePart("b.txt"), keyPart(tokenAgent)},
				200, "",
				file + "\nfile[b.txt]=content of b.txt\napi_key[]=" + agentAlpha,
			},
			"a source's key":           {path, []string{filePart("a.txt"), keyPart(tokenSource)}, 200, "", file},
			"no key":                   {path, []string{filePart("a.txt")}, 401, "invalid_api_key", ""},
			"an empty key":             {path, []string{filePart("a.txt"), keyPart("")}, 401, "invalid_api_key", ""},
			"a wrong key first":        {path, []string{keyPart("wrong"), filePart("a.txt")}, 401, "invalid_api_key", ""},
			"a wrong key last":         {path, []string{filePart("a.txt"), keyPart("wrong")}, 401, "invalid_api_key", ""},
			"a wrong key in the query": {path + "?api_key=wrong", []string{filePart("a.txt")}, 401, "invalid_api_key", ""},
			"an expired key first":     {path, []string{keyPart(tokenOld), filePart("a.txt")}, 401, "invalid_api_key", ""},
			"DocsGPT's own key":        {path, []string{filePart("a.txt"), keyPart(agentAlpha)}, 401, "invalid_api_key", ""},
			"keys in form and query": {
				path + "?api_key=" + tokenAgent, []string{filePart("a.txt"), keyPart(tokenAgent)}, 400, "bad_request", "",
			},
			"keys in query and form": {
				path + "?api_key=" + tokenAgent, []string{keyPart(tokenAgent), filePart("a.txt")}, 400, "bad_request", "",
			},
			"an empty key beside the query": {
				path + "?api_key=" + tokenAgent, []string{filePart("a.txt"), keyPart("")}, 400, "bad_request", "",
			},
			"two keys in the form": {path, []string{keyPart(tokenAgent), filePart("a.txt"), keyPart(tokenAgent)}, 400, "bad_request", ""},
			"two keys in the query": {
				path + "?api_key=" + tokenAgent + "&api%5Fkey=x", []string{filePart("a.txt")}, 400, "bad_request", "",
			},
			"no file":         {path, []string{keyPart(tokenAgent)}, 400, "bad_request", ""},
			"a key as a file": {path, []string{filePart("a.txt"), formPart(`name="api_key"; filename="x"`, tokenAgent)}, 400, "bad_request", ""},
			"two names in one part": {
				path, []string{filePart("a.txt"), formPart(`name="x"; name="api_key"`, tokenAgent)}, 400, "bad_request", "",
			},
			"a type that DocsGPT does not read": {path, []string{filePart("a.mp4"), keyPart(tokenAgent)}, 400, "file_not_accepted", "-"},
			"a bad agent key":                   {path, []string{filePart("a.txt"), keyPart(tokenStale)}, 502, "upstream_refused", "-"},
		} {
			t.Run(name, func(t *testing.T) {
				g.backend.Reset()
				r := g.sendForm(c.path, c.parts...)
				if r.status != c.status {
					t.Fatalf("status %d, want %d: %s", r.status, c.status, r.body)
				}
				assertNoSecrets(t, "the response", r.body+fmt.Sprint(r.header))
				if c.code != "" {
					checkErrorFormat(t, path, r, c.code)
				}
				if calls := g.backend.Calls(); c.want == "" && len(calls) > 0 {
					t.Errorf("DocsGPT got %s %s", calls[0].Method, calls[0].Path)
				}
				if c.want == "" || c.want == "-" {
					return
				}
				if got := g.forwardedForm(); got != c.want {
					t.Errorf("got\n%s\nwant\n%s", got, c.want)
				}
				authorization := ""
				if c.want == file {
					authorization = "Bearer " + access
				}
				if call := g.lastCall(); call.RawQuery != "" || call.Header.Get("Authorization") != authorization {
					t.Errorf("query %q, Authorization %q", call.RawQuery, call.Header.Get("Authorization"))
				}
			})
		}
	})
}

func TestUploadNotMultipart(t *testing.T) {
	testUploadModes(t, "", func(t *testing.T, g *gate) {
		form := filePart("a.txt") + keyPart(tokenAgent) + "--" + edge + "--\r\n"
		plain := "multipart/form-data; boundary=" + edge
		for name, c := range map[string]struct {
			headers []string
			status  int
			code    string
		}{
			"no type":           {[]string{"Content-Type", ""}, 415, "not_form"},
			"JSON":              {nil, 415, "not_form"},
			"urlencoded":        {[]string{"Content-Type", "", "Content-Type", "application/x-www-form-urlencoded"}, 415, "not_form"},
			"two boundaries":    {[]string{"Content-Type", "", "Content-Type", plain + "; boundary=x"}, 415, "not_form"},
			"two types":         {[]string{"Content-Type", "", "Content-Type", plain, "Content-Type", plain}, 415, "not_form"},
			"compressed":        {[]string{"Content-Type", "", "Content-Type", plain, "Content-Encoding", "gzip"}, 415, "not_form"},
			"another boundary":  {[]string{"Content-Type", "", "Content-Type", "multipart/form-data; boundary=x"}, 400, "bad_request"},
			"identity encoding": {[]string{"Content-Type", "", "Content-Type", plain, "Content-Encoding", "identity"}, 200, ""},
		} {
			t.Run(name, func(t *testing.T) {
				g.backend.Reset()
				r := g.send(http.MethodPost, "/api/store_attachment", form, c.headers...)
				if r.status != c.status {
					t.Fatalf("status %d, want %d: %s", r.status, c.status, r.body)
				}
				if c.code == "" {
					return
				}
				checkErrorFormat(t, "/api/store_attachment", r, c.code)
				if calls := g.backend.Calls(); len(calls) > 0 {
					t.Errorf("DocsGPT got %s %s", calls[0].Method, calls[0].Path)
				}
			})
		}
	})
}
