package docsgpt

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

// describedPaths are the paths in the /swagger.json of DocsGPT versions, by version. See testdata/swagger_paths.tsv, whose
// columns are a path and the first and last consecutive version that has it.
func describedPaths(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/swagger_paths.tsv")
	if err != nil {
		t.Fatal(err)
	}
	names := VersionNames()
	paths := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		first, last := slices.Index(names, fields[1]), slices.Index(names, fields[2])
		if len(fields) != 3 || first < 0 || last < first {
			t.Fatalf("not a path and two versions: %s", line)
		}
		for _, name := range names[first : last+1] {
			paths[name] = append(paths[name], fields[0])
		}
	}
	return paths
}

func description(title string, paths []string) string {
	entries := make([]string, len(paths))
	for i, path := range paths {
		entries[i] = fmt.Sprintf(`%q:{"get":{"responses":{}}}`, path)
	}
	return `{"swagger":"2.0","basePath":"/","paths":{` + strings.Join(entries, ",") + `},"info":{"title":"` + title + `"}}`
}

// server is a getter with some responses and a fallback for all other paths.
func server(fallback int, known map[string]string) Getter {
	return func(path string) (int, []byte, error) {
		answer, ok := known[path]
		switch {
		case !ok:
			return fallback, nil, nil
		case answer == "POST":
			return http.StatusMethodNotAllowed, nil, nil
		default:
			return http.StatusOK, []byte(answer), nil
		}
	}
}

func TestDetectEveryVersion(t *testing.T) {
	paths := describedPaths(t)
	early := map[string]map[string]string{
		"0.8": {"/api/create_api_key": "POST"}, "0.9": {"/api/create_api_key": "POST"},
		"0.10": {"/api/create_api_key": "POST", "/api/share": "POST"},
	}
	for _, name := range VersionNames() {
		t.Run(name, func(t *testing.T) {
			known := early[name]
			if known == nil {
				known = map[string]string{"/swagger.json": description("DocsGPT API", paths[name])}
			}
			found, err := Detect(server(http.StatusNotFound, known))
			if err != nil {
				t.Fatal(err)
			}
			if found.Version.Name != name && !slices.Contains(found.Ambiguous, name) {
				t.Errorf("taken for %s, from %s", found, found.From)
			}
			if found.From == "" {
				t.Error("the evidence is missing")
			}
		})
	}
}

// If two versions cannot be distinguished, the older one is chosen, since it has fewer features.
func TestDetectAmbiguousVersions(t *testing.T) {
	paths := describedPaths(t)
	found, err := Detect(server(http.StatusNotFound, map[string]string{"/swagger.json": description("DocsGPT API", paths["0.20"])}))
	if err != nil || found.String() != "0.19 (or 0.20)" {
		t.Errorf("got %v, %v", found, err)
	}
}

func TestDetectNewerVersion(t *testing.T) {
	all := append(describedPaths(t)[Default], "/api/of_the_future")
	found, err := Detect(server(http.StatusOK, map[string]string{"/swagger.json": description("DocsGPT API", all)}))
	if err != nil || found.Version.Name != Default {
		t.Errorf("got %v, %v", found, err)
	}
}

func TestDetectRejectsOtherServers(t *testing.T) {
	errAway := errors.New("away")
	paths := describedPaths(t)["1.1"]
	for name, c := range map[string]struct {
		get  Getter
		want error
	}{
		"nothing is there":              {server(404, nil), errNotDocsGPT},
		"everything is there":           {server(200, nil), errNotDocsGPT},
		"everything is forbidden":       {server(401, nil), errNotDocsGPT},
		"nothing may be got":            {server(405, nil), errNotDocsGPT},
		"maintenance":                   {server(503, nil), errNotDocsGPT},
		"a description of another":      {server(404, map[string]string{"/swagger.json": description("Shop API", paths)}), errNotDocsGPT},
		"a description of few paths":    {server(404, map[string]string{"/swagger.json": description("DocsGPT API", nil)}), errNotDocsGPT},
		"a page":                        {server(404, map[string]string{"/swagger.json": "<!doctype html>"}), errNotDocsGPT},
		"a description that is cut off": {server(404, map[string]string{"/swagger.json": description("DocsGPT API", paths)[:2000]}), errNotDocsGPT},
		"a description that is hidden":  {server(404, map[string]string{"/api/health": `{"status":"ok"}`}), errHidden},
		"away":                          {func(string) (int, []byte, error) { return 0, nil, errAway }, errAway},
	} {
		t.Run(name, func(t *testing.T) {
			if found, err := Detect(c.get); !errors.Is(err, c.want) {
				t.Errorf("got %v, %v, want %v", found, err, c.want)
			}
		})
	}
}
