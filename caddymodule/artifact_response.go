package caddymodule

import "github.com/docsgate/docsgate/docsgpt"

// setDownloadHeaders makes sure that a file, which a model wrote, never runs as a page of this site.
func (a *response) setDownloadHeaders() {
	if !a.x.endpoint.Download {
		return
	}
	h := a.x.w.Header()
	h["X-Content-Type-Options"] = nosniff
	h["Content-Security-Policy"] = sandbox
	if a.header.Get("Content-Disposition") == "" && a.status >= 200 && a.status <= 299 {
		a.header.Set("Content-Disposition", "attachment")
	}
	a.header.Set("Cache-Control", "private, no-store")
}

var sandbox = []string{"sandbox; default-src 'none'"}

// isObjectStoreRedirect tells whether DocsGPT sent the address of a file in place of the file.
func (x *gatewayRequest) isObjectStoreRedirect(status int) bool {
	return x.endpoint != nil && x.endpoint.Download && status >= 300 && status <= 399
}

// likelyCause is what an operator should look at, beside the credential; empty: nothing is known.
func (x *gatewayRequest) likelyCause(r *docsgpt.Error, status int) string {
	if r.Code == docsgpt.CodeUpstreamError && x.isObjectStoreRedirect(status) {
		return "DocsGPT answers downloads with addresses of its object store (URL_STRATEGY=s3), which are not " +
			"passed on: set it to backend"
	}
	if r.Code == docsgpt.CodeToolsNotAllowed {
		return "DocsGPT offers the model tools of the account of upstream_token; " + toolsFix
	}
	return ""
}
