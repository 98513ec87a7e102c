package api

import (
	"bytes"
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	pathpkg "path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemas are the schemas of responses and bodies in openapi.json.
type schemas struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
	mu       sync.Mutex // guards compiler
}

var documentOf = sync.OnceValues(func() (*schemas, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("openapi.json", doc); err != nil {
		return nil, err
	}
	return &schemas{doc: doc.(map[string]any), compiler: c}, nil
})

func documentSchemas(t testing.TB) *schemas {
	t.Helper()
	s, err := documentOf()
	if err != nil {
		t.Fatalf("openapi.json: %v", err)
	}
	return s
}

// at returns the value at a JSON pointer in the document. It follows references.
func (s *schemas) at(t testing.TB, names ...string) (any, []string) {
	t.Helper()
	var v any = s.doc
	for i, name := range names {
		m, ok := v.(map[string]any)
		if !ok || m[name] == nil {
			return nil, nil
		}
		v = m[name]
		if m, ok := v.(map[string]any); ok {
			if ref, ok := m["$ref"].(string); ok && !strings.HasPrefix(ref, "#/components/schemas/") {
				return s.at(t, append(strings.Split(strings.TrimPrefix(ref, "#/"), "/"), names[i+1:]...)...)
			}
		}
	}
	return v, names
}

// validate validates a JSON text against the schema at a JSON pointer.
func (s *schemas) validate(t testing.TB, names []string, text []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	var pointer strings.Builder
	for _, name := range names {
		pointer.WriteString("/" + escape.Replace(name))
	}
	s.mu.Lock()
	schema, err := s.compiler.Compile("openapi.json#" + pointer.String())
	s.mu.Unlock()
	if err != nil {
		t.Fatalf("openapi.json, %s: %v", pointer.String(), err)
	}
	return schema.Validate(v)
}

// check validates a response against the document: its status, content type and body.
func (s *schemas) check(t testing.TB, mux *http.ServeMux, r *http.Request, rec *httptest.ResponseRecorder) {
	t.Helper()
	_, pattern := mux.Handler(r)
	method, path, known := strings.Cut(pattern, " ")
	if !known || r.URL.Path != pathpkg.Clean(r.URL.Path) || r.Method == http.MethodHead {
		return // not a route: what is said then is the same everywhere
	}
	if rec.Code == http.StatusNoContent {
		if documented, _ := s.at(t, "paths", path, strings.ToLower(method), "responses", "204"); documented == nil || rec.Body.Len() > 0 {
			t.Errorf("%s responded with 204 and %q, which openapi.json does not document", pattern, rec.Body)
		}
		return
	}
	kind, _, err := mime.ParseMediaType(rec.Header().Get("Content-Type"))
	if err != nil {
		t.Errorf("%s: Content-Type %q: %v", pattern, rec.Header().Get("Content-Type"), err)
	}
	schema, place := s.at(t, "paths", path, strings.ToLower(method), "responses", strconv.Itoa(rec.Code), "content", kind, "schema")
	if schema == nil {
		t.Errorf("%s responded with %d with %s, which openapi.json does not document: %s", pattern, rec.Code, kind, rec.Body)
		return
	}
	if strings.HasSuffix(kind, "json") {
		if err := s.validate(t, place, rec.Body.Bytes()); err != nil {
			t.Errorf("%s responded with %d, which does not match openapi.json: %v\n%s", pattern, rec.Code, err, rec.Body)
		}
	}
}

func TestOpenAPIMatchesRoutes(t *testing.T) {
	s := documentSchemas(t)
	described := map[string]bool{}
	for path, item := range s.doc["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			described[strings.ToUpper(method)+" "+path] = true
		}
	}
	served := map[string]bool{}
	for _, route := range routes {
		served[route.pattern] = true
	}
	for _, pattern := range slices.Sorted(maps.Keys(served)) {
		if !described[pattern] {
			t.Errorf("openapi.json does not describe %s", pattern)
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(described)) {
		if !served[pattern] {
			t.Errorf("openapi.json describes %s, which is not served", pattern)
		}
	}
}

func TestOpenAPIReferencesResolve(t *testing.T) {
	s := documentSchemas(t)
	// Every reference can be resolved, and every named schema is used and can be compiled.
	used := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				used[ref] = true
				names := strings.Split(strings.TrimPrefix(ref, "#/"), "/")
				if found, _ := s.at(t, names...); found == nil {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(s.doc)
	for kind, all := range s.doc["components"].(map[string]any) {
		if kind == "securitySchemes" {
			continue
		}
		for name := range all.(map[string]any) {
			if !used["#/components/"+kind+"/"+name] {
				t.Errorf("components/%s/%s is not used", kind, name)
			}
		}
	}
}

// The examples are read by humans, and test generators send them.
func TestOpenAPIExamplesMatchSchemas(t *testing.T) {
	s := documentSchemas(t)
	examples := 0
	for name, schema := range s.doc["components"].(map[string]any)["schemas"].(map[string]any) {
		all, _ := schema.(map[string]any)["examples"].([]any)
		for _, example := range all {
			examples++
			text, err := json.Marshal(example)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.validate(t, []string{"components", "schemas", name}, text); err != nil {
				t.Errorf("an example of %s: %v", name, err)
			}
		}
	}
	if examples < 10 {
		t.Errorf("there are only %d examples", examples)
	}
}

// The fields of bodies are declared in Go and in the document. Both must be the same.
func TestOpenAPIExampleBodiesAccepted(t *testing.T) {
	s := documentSchemas(t)
	for path, item := range s.doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			body, _ := op.(map[string]any)["requestBody"].(map[string]any)
			if body == nil {
				continue
			}
			ref := body["content"].(map[string]any)["application/json"].(map[string]any)["schema"].(map[string]any)["$ref"].(string)
			examples, place := s.at(t, append(strings.Split(strings.TrimPrefix(ref, "#/"), "/"), "examples")...)
			if examples == nil {
				t.Errorf("%s has no examples (%v)", ref, place)
				continue
			}
			for _, example := range examples.([]any) {
				text, err := json.Marshal(example)
				if err != nil {
					t.Fatal(err)
				}
				w := newTestServer(t)
				made := w.makeKey()
				w.call("PATCH", "/v1/keys/"+made.ID, `{"visitors":"optional","sign_public_key":"`+testPublicKey+`"}`).want(http.StatusOK)
				w.call("POST", "/v1/keys/"+made.ID+"/sign-secrets", "").want(http.StatusCreated)
				body := strings.ReplaceAll(string(text), "key_06e4rj2m9d7q5x8k3t1v0w6y2z", made.ID)
				if got := w.call(strings.ToUpper(method), strings.ReplaceAll(path, "{id}", made.ID), body); got.Status/100 != 2 {
					t.Errorf("%s %s rejects its own example %s: %s", method, path, text, got.Body)
				}
			}
		}
	}
}

func TestOpenAPIServed(t *testing.T) {
	got := newTestServer(t).call("GET", "/openapi.json", "").want(http.StatusOK)
	if got.Header.Get("Content-Type") != "application/json" || got.Body != string(document) {
		t.Errorf("%s: %.80s", got.Header.Get("Content-Type"), got.Body)
	}
}
