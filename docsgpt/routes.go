package docsgpt

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Route is a path that is served, with what may be done there. It is read-only.
type Route struct {
	Path      string // canonical: what is forwarded
	endpoints []*Endpoint
}

// Endpoint returns the endpoint for a method, or nil.
func (r *Route) Endpoint(method string) *Endpoint {
	for _, e := range r.endpoints {
		if e.Method == method {
			return e
		}
	}
	return nil
}

// DefaultEndpoint returns the resource's first endpoint. Its shape is that of refusals before the method is known to be served.
func (r *Route) DefaultEndpoint() *Endpoint { return r.endpoints[0] }

// Methods returns the methods that are served, with OPTIONS, in the form of the header Allow.
func (r *Route) Methods() string {
	methods := make([]string, 0, len(r.endpoints)+1)
	for _, e := range r.endpoints {
		methods = append(methods, e.Method)
	}
	return strings.Join(append(methods, http.MethodOptions), ", ")
}

// Routes are the endpoints that one configuration serves. They are immutable and safe for concurrent use.
type Routes struct {
	byPath   map[string]*Route
	patterns []*Route
}

// aliases are spellings of a path that DocsGPT serves only in some versions, or not at all, but clients use.
var aliases = map[string]string{
	"/mcp": "/mcp/",
}

// NewRoutes collects the endpoints of the groups in that version. allow names further body members to let through
// (see [CheckAllowed]). No group is an error, and so is one that the version does not have.
func NewRoutes(v *Version, groups []Group, allow []string) (*Routes, error) {
	if len(groups) == 0 {
		return nil, fmt.Errorf("no endpoint group is named: known are %s", GroupList())
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
			if e.Body == BodyJSON && e.Shape != ShapeRPC { // a JSON-RPC message has no further members
				e.Members = withAllowed(e.Members, allow)
			}
			if slices.Contains(groups, GroupAttachments) {
				withAttachments(&e)
			}
			e.limits = &DefaultLimits
			routes.add(&e)
		}
		if !found {
			return nil, fmt.Errorf("DocsGPT %s has no endpoints of the group %q", v.Name, group)
		}
	}
	return routes, nil
}

func (r *Routes) add(e *Endpoint) {
	resource, pattern := r.byPath[e.Path], strings.Contains(e.Path, "{")
	if i := slices.IndexFunc(r.patterns, func(p *Route) bool { return p.Path == e.Path }); i >= 0 {
		resource = r.patterns[i]
	}
	switch {
	case resource != nil:
	case pattern:
		resource = &Route{Path: e.Path}
		r.patterns = append(r.patterns, resource)
	default:
		resource = &Route{Path: e.Path}
		r.byPath[e.Path] = resource
	}
	resource.endpoints = append(resource.endpoints, e)
}

// ValidGroup tells whether there is a group of that name.
func ValidGroup(g Group) bool { return slices.Contains(Groups(), g) }

// GroupList names the groups, for messages.
func GroupList() string {
	names := make([]string, 0, len(Groups()))
	for _, g := range Groups() {
		names = append(names, string(g))
	}
	return strings.Join(names, ", ")
}

// Find returns what DocsGPT would serve for a decoded URL path, or nil. Like DocsGPT it takes repeated leading slashes
// for one (a widget whose host ends in a slash sends "//stream"); any other spelling that is not the canonical one
// finds nothing.
func (r *Routes) Find(path string) *Route {
	if path == "" || path[0] != '/' {
		return nil
	}
	for len(path) > 1 && path[1] == '/' {
		path = path[1:]
	}
	if canonical, ok := aliases[path]; ok {
		path = canonical
	}
	if resource := r.byPath[path]; resource != nil {
		return resource
	}
	for _, resource := range r.patterns {
		if matches(resource.Path, path) {
			return &Route{Path: path, endpoints: resource.endpoints}
		}
	}
	return nil
}

// matches tells whether a path is one that the pattern stands for.
func matches(pattern, path string) bool {
	for pattern != "" && path != "" {
		var want, got string
		want, pattern = cutSegment(pattern)
		got, path = cutSegment(path)
		ok := want == got
		switch want {
		case "{uuid}":
			ok = isUUID(got)
		case "{number}":
			ok = isDigits(got) && len(got) <= 9
		}
		if !ok {
			return false
		}
	}
	return pattern == path
}

// cutSegment cuts the first segment from a path that begins with a slash. The rest begins with a slash too, or is empty.
func cutSegment(path string) (segment, rest string) {
	if i := strings.IndexByte(path[1:], '/'); i >= 0 {
		return path[1 : i+1], path[i+1:]
	}
	return path[1:], ""
}

// Endpoints returns the served endpoints in no particular order.
func (r *Routes) Endpoints() []*Endpoint {
	var all []*Endpoint
	for _, resource := range r.byPath {
		all = append(all, resource.endpoints...)
	}
	for _, resource := range r.patterns {
		all = append(all, resource.endpoints...)
	}
	return all
}
