// Package policy describes what a key may be used for: by which web pages, from which addresses, at which endpoints, and how much.
// It decides without state; package ratelimit counts.
package policy
