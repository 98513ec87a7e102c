package docsgpttest

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// Limits of the values of directives.
const (
	maxPause = 10 * time.Minute
	maxWords = 100_000
	maxBig   = 64 << 20
)

var faultPattern = regexp.MustCompile(`\[\[([a-z]+)(?:=([a-z0-9._]+))?\]\]`)

// faults are the directives in a question, see [Options].
type faults struct {
	wait, idGap, gap                                             time.Duration
	fail, tool, lateTool                                         string
	errorEvent, plainJSON, keepalive, cut, noEnd, unicode, split bool
	words, big                                                   int
}

func parseFaults(question string) faults {
	var s faults
	for _, found := range faultPattern.FindAllStringSubmatch(question, -1) {
		value := found[2]
		switch found[1] {
		case "wait":
			s.wait = seconds(value)
		case "idgap":
			s.idGap = seconds(value)
		case "gap":
			s.gap = seconds(value)
		case "fail":
			s.fail = value
		case "tool":
			s.tool = value
		case "latetool":
			s.lateTool = value
		case "errorevent":
			s.errorEvent = true
		case "plainjson":
			s.plainJSON = true
		case "keepalive":
			s.keepalive = true
		case "cut":
			s.cut = true
		case "noend":
			s.noEnd = true
		case "unicode":
			s.unicode = true
		case "split":
			s.split = true
		case "words":
			s.words = count(value, maxWords)
		case "big":
			s.big = count(value, maxBig)
		}
	}
	return s
}

func seconds(value string) time.Duration {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || n < 0 {
		return 0
	}
	return min(time.Duration(min(n, maxPause.Seconds())*float64(time.Second)), maxPause)
}

func count(value string, most int) int {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0
	}
	return min(n, most)
}

// pause waits, and reports whether the client is still connected.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// errorFormat is the error format of an endpoint.
type errorFormat int

const (
	formatStream errorFormat = iota // /stream
	formatAnswer                    // /api/answer
	formatSearch                    // /api/search and feedback
	formatOpenAI                    // /v1
)

// applyFaults applies the faults that precede an answer, and reports whether the answer follows.
func applyFaults(w http.ResponseWriter, r *request, s faults, format errorFormat) bool {
	if !pause(r.Context(), s.wait) {
		return false
	}
	if s.fail != "" {
		return !fail(w, s.fail, format)
	}
	if s.plainJSON {
		writeJSON(w, http.StatusOK, fields{"error": "The answer could not be made.", "success": false})
		return false
	}
	return true
}

// fail responds with a status in DocsGPT's error format, and reports whether it did: an invalid status is ignored.
func fail(w http.ResponseWriter, status string, format errorFormat) bool {
	if status == "quota429" {
		failQuota(w)
		return true
	}
	code, err := strconv.Atoi(status)
	if err != nil || code < 400 || code > 599 {
		return false
	}
	switch {
	case code == http.StatusTooManyRequests:
		writeJSON(w, code, fields{"message": "Exceeding usage limit, please try again later.", "success": false})
	case code == http.StatusForbidden:
		failAs(w, code, format, "This origin is not allowed to use this agent's API key.", "permission_error")
	case code == http.StatusServiceUnavailable:
		failAs(w, code, format, "Could not check this request's origin. Please try again later.", "server_error")
	case format == formatOpenAI && code == http.StatusUnauthorized:
		failAs(w, code, format, "Invalid API key", "auth_error")
	case format == formatOpenAI && code < 500:
		failAs(w, code, format, "Failed to process request", "invalid_request")
	case format == formatOpenAI:
		failAs(w, code, format, msgTryLater, "server_error")
	case format == formatStream && code == http.StatusBadRequest:
		streamErrors.unknown(w)
	case format == formatStream && code == http.StatusUnauthorized:
		streamErrors.unauthorized(w)
	case format == formatAnswer && code == http.StatusUnauthorized:
		answerErrors.unauthorized(w)
	case format == formatAnswer && code == http.StatusInternalServerError:
		failAnswer(w)
	case format == formatSearch && code == http.StatusInternalServerError:
		writeJSON(w, code, fields{"error": "Search failed"})
	default:
		writeMessage(w, code, http.StatusText(code))
	}
	return true
}

func failAs(w http.ResponseWriter, code int, format errorFormat, message, kind string) {
	if format == formatOpenAI {
		writeJSON(w, code, openAIError(message, kind))
		return
	}
	writeJSON(w, code, fields{"message": message, "success": false})
}

// failQuota is the error response for an account whose quota is exhausted.
func failQuota(w http.ResponseWriter) {
	const resets = "2026-12-01T00:00:00+00:00"
	w.Header().Set("Retry-After", "682702")
	w.Header().Set("X-Should-Retry", "false")
	writeJSON(w, http.StatusTooManyRequests, fields{
		"bucket": "all", "dimension": "tokens", "error_code": "quota-exceeded", "limit": 1, "limit_scope": "user_quota",
		"message":   "Usage quota reached (164 of 1 tokens). It resets at " + resets + ".",
		"resets_at": resets, "source": "user", "success": false, "unit": "tokens", "usage": json.Number("164"),
	})
}
