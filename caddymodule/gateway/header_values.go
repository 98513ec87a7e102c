package gateway

import "net/http"

// headerValues is the memory of header values that belong to one request. Handlers such as Caddy's header and request_header modify
// values in place, so requests must not share them: a replacement in the header of one response would change, and race with, all
// later ones. Nil is empty.
type headerValues []string

// set sets a header to one value.
func (v *headerValues) set(h http.Header, name, value string) {
	n := len(*v)
	*v = append(*v, value)
	h[name] = (*v)[n : n+1 : n+1]
}
