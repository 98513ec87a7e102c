package docsgpt

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Route is a path that the gate serves, with the endpoint of each method. It is read-only.
type Route struct {
	Path      string // canonical; the path that is forwarded
	Item      string // of a list at Path, which the client requests (see Endpoint.ItemOf); usually empty
	endpoints []*Endpoint
}

// Endpoint returns the endpoint for a method, or nil. HEAD has the endpoint of GET, unless that only opens a stream.
func (r *Route) Endpoint(method string) *Endpoint {
	for _, e := range r.endpoints {
		if e.Method == method || method == http.MethodHead && e.servesHead() {
			return e
		}
	}
	return nil
}

// servesHead reports whether HEAD is served, too.
func (e *Endpoint) servesHead() bool { return e.Method == http.MethodGet && e.Class != ClassListen }

// DefaultEndpoint returns the route's first endpoint. Errors that occur before the method is known use its format.
func (r *Route) DefaultEndpoint() *Endpoint { return r.endpoints[0] }

// Methods returns the served methods and OPTIONS, as the value of the header Allow.
func (r *Route) Methods() string {
	methods := make([]string, 0, len(r.endpoints)+1)
	for _, e := range r.endpoints {
		methods = append(methods, e.Method)
		if e.servesHead() {
			methods = append(methods, http.MethodHead)
		}
	}
	return strings.Join(append(methods, http.MethodOptions), ", ")
}

// Routes holds the endpoints that one configuration serves. It is immutable once its limits are set, and safe for
// concurrent use.
type Routes struct {
	byPath   map[string]*Route
	patterns []*Route
}

// aliases maps paths that clients use, but that not all versions of DocsGPT serve, to the path that they do.
var aliases = map[string]string{
	"/mcp": "/mcp/",
}

// NewRoutes collects the endpoints of the groups in that version. allow names additional body fields to forward (see
// [CheckAllowed]). An empty list of groups, and a group that the version does not have, are errors.
func NewRoutes(v *Version, groups []Group, allow []string) (*Routes, error) {
	if len(groups) == 0 {
		return nil, fmt.Errorf("no endpoint group specified: known are %s", GroupList())
	}
	for _, name := range allow {
		if err := CheckAllowed(name); err != nil {
			return nil, err
		}
	}
	routes := &Routes{byPath: map[string]*Route{}}
	for _, group := range groups {
		if !ValidGroup(group) {
			return nil, fmt.Errorf("unknown endpoint group %q: known are %s", group, GroupList())
		}
		found := false
		for _, e := range v.endpoints() {
			if e.Group != group {
				continue
			}
			found = true
			if e.Body == BodyJSON && e.ErrorFormat != FormatRPC { // a JSON-RPC message has a fixed set of fields
				e.Fields = withAllowed(e.Fields, allow)
			}
			if slices.Contains(groups, GroupAttachments) {
				withAttachments(&e)
			}
			e.limits = &DefaultLimits
			routes.add(&e)
		}
		if !found {
			return nil, fmt.Errorf("DocsGPT %s has no endpoints in the group %q", v.Name, group)
		}
	}
	return routes, nil
}

func (r *Routes) add(e *Endpoint) {
	route, pattern := r.byPath[e.Path], strings.Contains(e.Path, "{")
	if i := slices.IndexFunc(r.patterns, func(p *Route) bool { return p.Path == e.Path }); i >= 0 {
		route = r.patterns[i]
	}
	switch {
	case route != nil:
	case pattern:
		route = &Route{Path: e.Path}
		r.patterns = append(r.patterns, route)
	default:
		route = &Route{Path: e.Path}
		r.byPath[e.Path] = route
	}
	route.endpoints = append(route.endpoints, e)
}

// ValidGroup reports whether g is the name of a group.
func ValidGroup(g Group) bool { return slices.Contains(Groups(), g) }

// GroupList returns the names of all groups, separated by commas, for messages.
func GroupList() string {
	names := make([]string, 0, len(Groups()))
	for _, g := range Groups() {
		names = append(names, string(g))
	}
	return strings.Join(names, ", ")
}

// Find returns the route that DocsGPT would serve for a decoded URL path, or nil. Like DocsGPT, it treats repeated
// leading slashes as one: a widget whose host ends in a slash requests "//stream". Below /v1 it treats all repeated slashes as
// one, where DocsGPT redirects: an SDK whose base URL ends in a slash requests "/v1//models". Any other path that is not
// canonical does not match.
func (r *Routes) Find(path string) *Route {
	path = cleanPath(path)
	if path == "" {
		return nil
	}
	if canonical, ok := aliases[path]; ok {
		path = canonical
	}
	if route := r.byPath[path]; route != nil {
		return route
	}
	for _, route := range r.patterns {
		if !matches(route.Path, path) {
			continue
		}
		found := &Route{Path: path, endpoints: route.endpoints}
		if list := route.DefaultEndpoint().ItemOf; list != "" {
			found.Path, found.Item = list, path[strings.LastIndexByte(path, '/')+1:]
		}
		return found
	}
	return nil
}

// cleanPath removes the repeated slashes that [Routes.Find] ignores. It returns "" if the path does not begin with a slash.
func cleanPath(path string) string {
	if path == "" || path[0] != '/' {
		return ""
	}
	for len(path) > 1 && path[1] == '/' {
		path = path[1:]
	}
	for isOpenAIPath(path) && strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

// matches reports whether the path matches the pattern.
func matches(pattern, path string) bool {
	for pattern != "" && path != "" {
		var want, got string
		want, pattern = cutSegment(pattern)
		got, path = cutSegment(path)
		ok := want == got
		switch want {
		case "{uuid}":
			ok = isUUID(got)
		case "{id}":
			ok = got != ""
		case "{number}":
			ok = isDigits(got) && len(got) <= 9
		}
		if !ok {
			return false
		}
	}
	return pattern == path
}

// cutSegment cuts the first segment off a path that begins with a slash. The rest is empty or begins with a slash.
func cutSegment(path string) (segment, rest string) {
	if i := strings.IndexByte(path[1:], '/'); i >= 0 {
		return path[1 : i+1], path[i+1:]
	}
	return path[1:], ""
}

// Endpoints returns the served endpoints in no particular order.
func (r *Routes) Endpoints() []*Endpoint {
	var all []*Endpoint
	for _, route := range r.byPath {
		all = append(all, route.endpoints...)
	}
	for _, route := range r.patterns {
		all = append(all, route.endpoints...)
	}
	return all
}
