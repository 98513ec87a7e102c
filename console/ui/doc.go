// Package ui serves the web pages of the console: they list, search, create, update, rotate and revoke keys, and show a new token
// once. The pages are rendered on the server and work without JavaScript; scripts add copying, test questions and search while
// typing. The pages load nothing from other hosts.
package ui
