package http1

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// setFraming finds out where the body ends, and whether the connection can be reused after it.
func (r *response) setFraming(method string) error {
	b := &r.body
	r.Body = b
	encoding, chunked := r.Header["Transfer-Encoding"]
	length, hasLength := r.Header["Content-Length"]
	switch {
	case chunked && (r.ProtoMinor == 0 || len(encoding) != 1 || !strings.EqualFold(encoding[0], "chunked")):
		return malformed("unsupported Transfer-Encoding")
	case chunked && hasLength:
		return malformed("both Content-Length and Transfer-Encoding")
	case len(length) > 1:
		return malformed("several Content-Length fields")
	}
	r.ContentLength = -1
	if hasLength {
		n, err := strconv.ParseUint(length[0], 10, 63)
		if err != nil {
			return malformed("invalid Content-Length")
		}
		r.ContentLength = int64(n)
	}
	delete(r.Header, "Transfer-Encoding")
	if chunked {
		if !areValidTrailers(r.Header["Trailer"]) {
			return malformed("invalid Trailer")
		}
		delete(r.Header, "Trailer")
	}
	keepAlive := r.keepsAlive()
	switch {
	case method == http.MethodHead:
		b.ended, b.reusable = true, keepAlive
	case r.StatusCode == http.StatusNoContent, r.StatusCode == http.StatusNotModified:
		// The server must not send a body. One that announces it may do so.
		suspect := chunked || r.ContentLength > 0 && r.StatusCode == http.StatusNoContent
		b.ended, b.reusable = true, keepAlive && !suspect
		r.ContentLength = 0
	case chunked:
		b.chunked, b.reusable = true, keepAlive
	case hasLength:
		b.left, b.ended, b.reusable = r.ContentLength, r.ContentLength == 0, keepAlive
	default:
		b.left, b.untilClose = -1, true
	}
	r.Close = !keepAlive || b.untilClose
	return nil
}

// keepsAlive reports whether the server keeps the connection open.
func (r *response) keepsAlive() bool {
	options := r.Header["Connection"]
	if httpguts.HeaderValuesContainsToken(options, "close") {
		if r.ProtoMinor == 1 {
			delete(r.Header, "Connection") // as net/http does
		}
		return false
	}
	return r.ProtoMinor == 1 || httpguts.HeaderValuesContainsToken(options, "keep-alive")
}

// areValidTrailers reports whether a Trailer field names only fields that may be trailers.
func areValidTrailers(lists []string) bool {
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			switch textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name)) {
			case "Transfer-Encoding", "Trailer", "Content-Length":
				return false
			}
		}
	}
	return true
}
