package differential

import (
	"bufio"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/docsgpt"
)

// allRoutes are all endpoints of the newest version.
func allRoutes(t testing.TB) *docsgpt.Routes {
	t.Helper()
	version, err := docsgpt.FindVersion("")
	if err != nil {
		t.Fatal(err)
	}
	routes, err := docsgpt.NewRoutes(version, slices.DeleteFunc(docsgpt.Groups(), func(g docsgpt.Group) bool {
		return g == docsgpt.GroupMCP // which is not Flask's
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	return routes
}

// find returns the route that the gate finds for a request target, as parsed by Go's server. ok is false if that server
// responds with 400 before any handler.
func find(routes *docsgpt.Routes, method, target string) (e *docsgpt.Endpoint, ok bool) {
	raw := method + " " + target + " HTTP/1.1\r\nHost: gate.example\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		return nil, false
	}
	found := routes.Find(r.URL.Path)
	if found == nil {
		return nil, true
	}
	if e = found.Endpoint(method); e == nil {
		e = found.DefaultEndpoint()
	}
	return e, true
}

// checkPath checks that the gate and Werkzeug route a target to the same endpoint, and returns its name. The gate may
// serve less than Werkzeug: a fragment, which Go's server keeps in the path, and targets that Go's server rejects. Below /v1
// it serves what Werkzeug redirects to the same endpoint, since not all clients follow redirects, and single
// models, for which it requests the list.
func checkPath(t testing.TB, routes *docsgpt.Routes, method, target string) string {
	t.Helper()
	e, ok := find(routes, method, target)
	p := python(t).route(t, method, target)
	switch {
	case e == nil && ok && p.Endpoint != "" && !strings.Contains(target, "#"):
		t.Errorf("%s %s: DocsGPT serves %s, the gate nothing", method, target, p.Endpoint)
		return ""
	case e == nil:
		return ""
	case e.ItemOf != "":
		if p.Endpoint != "" {
			t.Errorf("%s %s: DocsGPT serves %s itself", method, target, p.Endpoint)
		}
	case strings.HasPrefix(e.Path, "/v1/") && p.Redirect != "":
		if u, err := url.Parse(p.Redirect); err != nil || u.Path != e.Path {
			t.Errorf("%s %s: the gate serves %s, DocsGPT redirects to %s", method, target, e.Name, p.Redirect)
		}
	case e.Method != method:
		if p.Endpoint != "" || p.Status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: the gate finds %s with another method, DocsGPT has %+v", method, target, e.Name, p)
		}
	case p.Endpoint != e.Name:
		t.Errorf("%s %s: the gate serves %s, DocsGPT has %+v", method, target, e.Name, p)
	}
	return e.Name
}

func TestPathsAgainstWerkzeug(t *testing.T) {
	python(t) // says once, and not for each path, when there is none
	routes := allRoutes(t)
	for target, want := range map[string]string{
		// Targets that clients request, including those of hosts that end in a slash.
		"/stream": "stream", "//stream": "stream", "/api/answer": "answer", "//api/answer": "answer",
		"/api/search": "search", "//api/search": "search", "/api/feedback": "feedback", "//api/feedback": "feedback",
		"/v1/chat/completions": "completions", "//v1/chat/completions": "completions",
		"/api/store_attachment": "store_attachment", "//api/store_attachment": "store_attachment", "/api/stt": "stt",

		// Other spellings of the same paths.
		"///stream": "stream", "/%73tream": "stream", "/%2Fstream": "stream", "/%2fstream": "stream",
		"/api%2Fanswer": "answer", "/%61pi/answer": "answer", "/%2F%2f/api/answer": "answer",
		"http://other.example/stream": "stream", "http://other.example//stream": "stream",
		"/stream?x=1": "stream", "/stream?": "stream", "//stream?/api/answer": "stream",

		// Targets that are not paths of DocsGPT.
		"/": "", "//": "", "/stream/": "", "/Stream": "", "/STREAM": "", "/./stream": "", "/x/../stream": "",
		"/../stream": "", "/%2e/stream": "", "/%2e%2e/stream": "", "/stream/..": "", "/stream/.": "", "/stream;x": "",
		"/stream;": "", "/stream%00": "", "/stream%20": "", "/stream%0a": "", "/stream%2F": "", "/%20stream": "",
		"/api//answer": "", "/api/%2Fanswer": "", "/api/answer/": "", "/api/answer//": "", "/api/./answer": "",
		`/api\answer`: "", "/api%5Canswer": "", `\stream`: "", `/\stream`: "", "/%5Cstream": "", "/%2573tream": "", "/%252Fstream": "",
		"/stream%3Fx": "", "/stream%23": "", "/%EF%BC%8Fstream": "", "/s%C3%BFtream": "", "/%FFstream": "",
		"/ſtream": "", "/%C5%BFtream": "", "/stream%E2%80%8B": "", "/v1/chat/completions/": "", "/v1//chat/completions": "completions",
		"/v1/%2Fchat//completions": "completions", "/v1//models/": "", "/v1/chat/completions//": "", "/v1//stream": "",
		"/v1/completions": "", "/api": "", "/api/": "", "/api/stream": "", "/stream/api/answer": "", "/mcp": "",
		"/api/get_agents": "", "/swagger.json": "", "*": "", "stream": "", "": "",

		// DocsGPT's server would truncate these; the gate need not.
		"/stream#x": "", "/stream#": "",
	} {
		t.Run(target, func(t *testing.T) {
			if got := checkPath(t, routes, http.MethodPost, target); got != want {
				t.Errorf("the gate finds %q, want %q", got, want)
			}
		})
	}
}

// concrete replaces the variable segments of a pattern.
var concrete = strings.NewReplacer("{uuid}", "7D0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10", "{number}", "12", "{id}", "a")

func TestGeneratedPathsAgainstWerkzeug(t *testing.T) {
	routes := allRoutes(t)
	all := routes.Endpoints()
	paths := make(map[string]*docsgpt.Endpoint, len(all))
	for _, e := range all {
		paths[concrete.Replace(e.Path)] = e
	}
	names := slices.Sorted(maps.Keys(paths)) // in one order, so that the test is the same each time
	g := rand.New(rand.NewPCG(1, 1))
	found := 0
	for range 4000 {
		path := names[g.IntN(len(names))]
		method := paths[path].Method
		if g.IntN(10) == 0 {
			method = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete}[g.IntN(4)]
		}
		if checkPath(t, routes, method, spell(g, path)) != "" {
			found++
		}
	}
	t.Logf("%d of 4000 spellings are served", found)
	if found < 400 || found > 3600 {
		t.Errorf("%d of 4000 spellings are served: the test says too little", found)
	}
}

// spell returns another spelling of a path, which may or may not be the same path.
func spell(g *rand.Rand, path string) string {
	var b strings.Builder
	if g.IntN(12) == 0 {
		b.WriteString("http://other.example")
	}
	for range g.IntN(2) * g.IntN(3) {
		b.WriteString([]string{"/", "%2F", "%2f"}[g.IntN(3)])
	}
	escape, damage := g.IntN(3) == 0, g.IntN(3) == 0
	for i, c := range []byte(path) {
		if damage && i > 0 && g.IntN(12) == 0 {
			b.WriteString([]string{
				"/", "%2F", "/.", "/..", "%00", "%20", ";", ".", `\`, "%5C", "%C5%BF", "?", "%3F", "%25", "#", "%23", "\xc3\xbc",
			}[g.IntN(17)])
		}
		switch {
		case i > 0 && escape && g.IntN(4) == 0:
			fmt.Fprintf(&b, []string{"%%%02x", "%%%02X"}[g.IntN(2)], c)
		case damage && g.IntN(20) == 0:
			b.WriteString(strings.ToUpper(string(c)))
		default:
			b.WriteByte(c)
		}
	}
	if g.IntN(8) == 0 {
		b.WriteString([]string{"/", "?", "?a=/stream", "//", "/."}[g.IntN(5)])
	}
	return b.String()
}

// FuzzPaths compares the routing of any spelling of a path with Werkzeug's.
func FuzzPaths(f *testing.F) {
	for _, target := range []string{
		"/stream", "//stream", "/%73tream", "/%2Fstream", "/api%2Fanswer", "/stream/", "/Stream", "/x/../stream", "/stream;x",
		"/stream%00", "/api//answer", "http://other.example//stream", "/stream?x=1", `/\stream`, "/%2573tream", "/api/artifacts",
		"/api/artifacts/7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10", "/api/artifacts/7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10/versions/3",
		"/api/artifacts/7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10/versions/03/", "/api/artifacts//download", "/v1/models", "/v1%2fmodels",
		"/v1//models", "//v1///chat/completions", "/v1/models/x", "/v1/models/x//y",
	} {
		f.Add(target, true)
		f.Add(target, false)
	}
	routes := allRoutes(f)
	f.Fuzz(func(t *testing.T, target string, post bool) {
		if !strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "http://other.example/") {
			return // other absolute forms are the two servers' own matter
		}
		for _, c := range []byte(target) {
			if c <= ' ' || c >= 0x7f {
				return // such a byte ends a request line, or is refused by one of the servers before any routing
			}
		}
		method := http.MethodGet
		if post {
			method = http.MethodPost
		}
		checkPath(t, routes, method, target)
	})
}
