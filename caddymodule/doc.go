// Package caddymodule integrates docsgate with Caddy. It registers these modules:
//
//	docsgate                        app: feeds, upstream credential, DocsGPT version, shutdown
//	docsgate.feeds.file             feed: keys from a YAML or JSON file; see FileFeed
//	docsgate.feeds.store            feed: keys that the gate issues; see StoreFeed
//	docsgate.feeds.docsgpt          feed: agent keys from DocsGPT's database; see DocsGPTFeed
//	http.handlers.docsgate          handler of the directive "docsgate"; see Handler
//	http.handlers.docsgate_console  handler of the directive "docsgate_console"; see Console
//	admin.api.docsgate              API for keys on Caddy's admin endpoint
//	caddy.logging.encoders.docsgate encoder that keeps tokens out of logs; see package logencoder
//
// It also registers the global option "docsgate", and the placeholders {http.auth.user.id}, {docsgate.key.id},
// {docsgate.key.name}, {docsgate.source} and {docsgate.backend} for later handlers and the access log.
//
// Package app contains the app with its feeds, package gateway the request pipeline, and package admin the console and the
// API on the admin endpoint. Logic that does not depend on Caddy is in the packages that they call.
package caddymodule
