package activity

import "github.com/docsgate/docsgate/policy"

// pageOrigin returns the normalized origin of a page, "null", or "" if the client has sent another text. Patterns, which a client may send
// so that they are adopted, are not origins of pages.
func pageOrigin(text string) string {
	origin, err := policy.ParseOrigin(text)
	if err != nil || !origin.IsExact() && origin.String() != "null" {
		return ""
	}
	return origin.String()
}
