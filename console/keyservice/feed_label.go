package keyservice

import (
	"path"
	"strings"
)

// FeedLabel returns the name of a feed for people: "This gate", "Key file" or "DocsGPT". If others of all feeds have the same label,
// the end of the feed's address follows, or the whole address if that is not sufficient: "Key file (b.yaml)". A feed of an unknown
// kind keeps its own name.
func FeedLabel(feed string, all []string) string {
	kind, address, _ := strings.Cut(feed, ":")
	label, known := feedKinds[kind]
	if !known {
		return feed
	}
	suffix := ""
	for _, other := range all {
		otherKind, otherAddress, _ := strings.Cut(other, ":")
		if otherKind != kind || other == feed {
			continue
		}
		if path.Base(otherAddress) == path.Base(address) {
			return label + " (" + address + ")"
		}
		suffix = " (" + path.Base(address) + ")"
	}
	return label + suffix
}

// feedKinds are the labels by the first part of a feed's name.
var feedKinds = map[string]string{"store": "This gate", "file": "Key file", "docsgpt": "DocsGPT"}
