package gateway

import (
	"errors"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/docsgpt"
)

// setDownloadHeaders prevents a file, which a model wrote, from running as a page of this site.
func (res *response) setDownloadHeaders() {
	if !res.client.endpoint.Download {
		return
	}
	h, v := res.client.w.Header(), &res.client.responseValues
	v.set(h, "X-Content-Type-Options", "nosniff")
	v.set(h, "Content-Security-Policy", "sandbox; default-src 'none'")
	if res.header.Get("Content-Disposition") == "" && res.status >= 200 && res.status <= 299 {
		res.header.Set("Content-Disposition", "attachment")
	}
	res.header.Set("Cache-Control", "private, no-store")
}

// isObjectStoreRedirect reports whether DocsGPT redirects a download to its object store.
func (c *client) isObjectStoreRedirect(status int) bool {
	return c.endpoint.Download && status >= 300 && status <= 399
}

// likelyCause returns a hint for the operator, or "" if there is none.
func (c *client) likelyCause(r *docsgpt.Error, status int, cause error) string {
	if _, unexpected := errors.AsType[*unexpectedTypeError](cause); unexpected {
		return "the upstream is not DocsGPT's API: its web app (port 5173), a login page or another server; check the address"
	}
	if r.Code == docsgpt.CodeUpstreamError && c.isObjectStoreRedirect(status) {
		return "DocsGPT redirects downloads to its object store (URL_STRATEGY=s3), which the gate does not relay: " +
			"set URL_STRATEGY=backend in DocsGPT"
	}
	if r.Code == docsgpt.CodeToolsNotAllowed {
		return "DocsGPT offers the model tools of the account of upstream_token; " + app.ToolsFix
	}
	return ""
}
