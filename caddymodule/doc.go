// Package caddymodule is all of docsgate that knows Caddy. It registers
//
//	docsgate                     the app: feeds of keys, the upstream credential, the DocsGPT version
//	docsgate.feeds.file          a feed: keys from a file
//	http.handlers.docsgate       the handler: directive "docsgate"
//
// and offers the placeholders {http.auth.user.id}, {docsgate.key.id}, {docsgate.key.name} and {docsgate.source} to what
// runs after it, and to the access log.
//
// The way of a request is in exchange.go, the way of its answer in answer.go; both call the other packages for all
// that is not Caddy's.
package caddymodule
