package docsgpt

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// otherPaths are paths that clients are known to request, but that are not endpoints: OpenAI's API has them.
var otherPaths = []string{
	"/v1", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/assistants", "/v1/threads", "/v1/files",
}

// knownPaths returns the paths and patterns of all endpoints of all versions, and otherPaths.
var knownPaths = sync.OnceValue(func() *Routes {
	routes := &Routes{byPath: map[string]*Route{}}
	for i := range versions {
		for _, e := range versions[i].endpoints() {
			routes.add(&e)
		}
	}
	for _, path := range otherPaths {
		routes.add(&Endpoint{Path: path})
	}
	return routes
})

// KnownPath returns the path or pattern, such as "/api/artifacts/{uuid}", of the endpoint that a decoded URL path is for in any
// version of DocsGPT. It is for logs and metrics: it contains no text of the client's. Repeated slashes count as one, other than
// for [Routes.Find]. ok reports whether there is such an endpoint.
func KnownPath(path string) (pattern string, ok bool) {
	if path == "" || path[0] != '/' || len(path) > maxKnownPath {
		return "", false
	}
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	known := knownPaths()
	if canonical, ok := aliases[path]; ok {
		path = canonical
	}
	if known.byPath[path] != nil {
		return path, true
	}
	for _, route := range known.patterns {
		if matches(route.Path, path) {
			return route.Path, true
		}
	}
	return "", false
}

// maxKnownPath is the length of a path above which KnownPath does not look at it.
const maxKnownPath = 512

// KnownParams returns the names of the query parameters of all endpoints of all versions, sorted, without that of the token.
func KnownParams() []string {
	names := map[string]bool{}
	for i := range versions {
		for _, e := range versions[i].endpoints() {
			for _, p := range e.Params {
				names[p.Name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
