package caddymodule

import "github.com/docsgate/docsgate/docsgpt"

// beginDownload makes sure that a file, which a model wrote, never runs as a page of this site.
func (a *answer) beginDownload() {
	if !a.x.endpoint.Download {
		return
	}
	h := a.x.w.Header()
	h["X-Content-Type-Options"] = noSniff
	h["Content-Security-Policy"] = sandbox
	if a.header.Get("Content-Disposition") == "" && a.status >= 200 && a.status <= 299 {
		a.header.Set("Content-Disposition", "attachment")
	}
	a.header.Set("Cache-Control", "private, no-store")
}

var sandbox = []string{"sandbox; default-src 'none'"}

// redirects tells whether DocsGPT sent the address of a file in place of the file.
func (x *exchange) redirects(status int) bool {
	return x.endpoint != nil && x.endpoint.Download && status >= 300 && status <= 399
}

// likelyCause is what an operator should look at, beside the credential; empty: nothing is known.
func (x *exchange) likelyCause(r *docsgpt.Refusal, status int) string {
	if r.Code == docsgpt.CodeUpstreamError && x.redirects(status) {
		return "DocsGPT answers downloads with addresses of its object store (URL_STRATEGY=s3), which are not " +
			"passed on: set it to backend"
	}
	if r.Code == docsgpt.CodeToolsNotAllowed {
		return "DocsGPT offers the model tools of the account of upstream_token; " + toolsFix
	}
	return ""
}
