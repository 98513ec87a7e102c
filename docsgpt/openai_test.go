package docsgpt

import (
	"net/http"
	"strings"
	"testing"
)

// SDKs join a base URL and a path, so a base URL with a slash at its end produces two slashes.
func TestFindCollapsesSlashesOfOpenAIPaths(t *testing.T) {
	all := routes(t, "", GroupWidget, GroupOpenAI)
	for path, want := range map[string]string{
		"/v1//chat/completions": "/v1/chat/completions", "//v1/models": "/v1/models", "//v1//models": "/v1/models",
		"///v1///chat////completions": "/v1/chat/completions", "/v1//models//x": "/v1/models",
		"/v1//models/": "", "/v1//": "", "/v1/chat//": "", "/api//answer": "", "/v1x//models": "", "/x//v1/models": "",
	} {
		got := ""
		if r := all.Find(path); r != nil {
			got = r.Path
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestFindModelRoute(t *testing.T) {
	all := routes(t, "", GroupOpenAI)
	for path, want := range map[string]string{
		"/v1/models/4c36e509-0c14-4147-ace8-fa6af9423ab8": "4c36e509-0c14-4147-ace8-fa6af9423ab8",
		"/v1/models/My agent":                             "My agent", "/v1/models/..": "..", "/v1/models/{id}": "{id}",
	} {
		r := all.Find(path)
		if r == nil || r.Path != "/v1/models" || r.Item != want || r.DefaultEndpoint().Name != "model" || r.Methods() != "GET, HEAD, OPTIONS" {
			t.Errorf("%s: got %+v", path, r)
		}
	}
	for _, path := range []string{"/v1/models/", "/v1/models/a/b", "/v1/models/a/"} {
		if r := all.Find(path); r != nil {
			t.Errorf("%s: got %+v", path, r)
		}
	}
	if r := all.Find("/v1/models"); r.Item != "" {
		t.Errorf("the list has the item %q", r.Item)
	}
	if r := routes(t, "0.16", GroupOpenAI).Find("/v1/models/x"); r != nil {
		t.Error("served for a DocsGPT whose list has the agents of all keys")
	}
}

func TestFindModel(t *testing.T) {
	const list = `{"data":[{"id":"a","object":"model","x":[1, 2]},{"object":"model","id":"b\u00fc"},1,{"id":"a","second":true}],"object":"list"}`
	for id, want := range map[string]string{"a": `{"id":"a","object":"model","x":[1, 2]}` + "\n", "bü": `{"object":"model","id":"b\u00fc"}` + "\n"} {
		if got, err := FindModel([]byte(list), id); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v", id, got, err)
		}
	}
	for name, c := range map[string]struct {
		list, id string
		status   int
		code     string
	}{
		"unknown":    {list, "A", http.StatusNotFound, "model_not_found"},
		"empty list": {`{"data":[]}`, "a", http.StatusNotFound, "model_not_found"},
		"no list":    {`{"data":{"id":"a"}}`, "a", http.StatusNotFound, "model_not_found"},
		"HTML":       {"<html>", "a", http.StatusBadGateway, CodeUpstreamError},
		"empty":      {"", "a", http.StatusBadGateway, CodeUpstreamError},
		"cut off":    {list[:20], "a", http.StatusBadGateway, CodeUpstreamError},
	} {
		if got, err := FindModel([]byte(c.list), c.id); err == nil || err.Status != c.status || err.Code != c.code || got != nil {
			t.Errorf("%s: got %s, %+v", name, got, err)
		}
	}
}

// Clients below /v1 get OpenAI's error object, which says what is served, and the setting that SDKs need which call the
// Responses API by default.
func TestNotFoundNamesServedPaths(t *testing.T) {
	const served = "Below /v1 only these paths are served: POST /v1/chat/completions, GET /v1/models, GET /v1/models/{id}."
	all := routes(t, "", GroupWidget, GroupOpenAI)
	for _, path := range []string{"/v1", "/v1/", "/v1/completions", "//v1/embeddings", "/v1/models/a/b", "/v1/responsesx", "/v1//chat"} {
		format, err := all.NotFound(path)
		if format != FormatOpenAI || err.Status != http.StatusNotFound || err.Code != "not_found" || err.Message != served {
			t.Errorf("%s: got format %d, %+v", path, format, err)
		}
	}
	for _, path := range []string{"/v1/responses", "/v1//responses", "/v1/responses/resp_1"} {
		_, err := all.NotFound(path)
		for _, want := range []string{"openai.chat(", "useResponsesApi: false", "use_responses_api=False", `"Use Responses API"`, served} {
			if !strings.Contains(err.Message, want) {
				t.Errorf("%s: %q lacks %q", path, err.Message, want)
			}
		}
	}
	if _, err := routes(t, "0.16", GroupOpenAI).NotFound("/v1/x"); strings.Contains(err.Message, "models") {
		t.Errorf("0.16: %s", err.Message)
	}
	if format, err := routes(t, "", GroupWidget).NotFound("/v1/models"); format != FormatOpenAI || !strings.Contains(err.Message, "openai is not enabled") {
		t.Errorf("without the group: %+v", err)
	}
	for _, path := range []string{"/v1x", "/V1/models", "/v10/models", "/api/x", "/", "", "v1/models", "/register"} {
		if format, err := all.NotFound(path); format != FormatJSON || err.Message != msgNotFound {
			t.Errorf("%s: got format %d, %+v", path, format, err)
		}
	}
}

func TestNotFoundForOAuthRegistration(t *testing.T) {
	format, err := routes(t, "", GroupMCP).NotFound("/register")
	if format != FormatOAuth || err.Message != msgNoOAuth {
		t.Errorf("got format %d, %+v", format, err)
	}
}
