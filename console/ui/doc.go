// Package ui is the web page for keys: it lists and searches them, makes them, shows a new token once, and changes,
// rotates and revokes keys. The pages are made on the server and work without JavaScript; scripts add copying, trying a new
// key and searching while one types. No page asks another host for anything.
package ui
