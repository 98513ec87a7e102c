package backend

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// Bounds of what a switch may ask for.
const (
	maxPause = 10 * time.Minute
	maxWords = 100_000
	maxBig   = 64 << 20
)

var switchPattern = regexp.MustCompile(`\[\[([a-z]+)(?:=([a-z0-9.]+))?\]\]`)

// switches are what a question asks for, see [Options].
type switches struct {
	wait, gap                                                    time.Duration
	fail                                                         string
	errorEvent, plainJSON, keepalive, cut, noEnd, unicode, split bool
	words, big                                                   int
}

func parseSwitches(question string) switches {
	var s switches
	for _, found := range switchPattern.FindAllStringSubmatch(question, -1) {
		value := found[2]
		switch found[1] {
		case "wait":
			s.wait = seconds(value)
		case "gap":
			s.gap = seconds(value)
		case "fail":
			s.fail = value
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

// pause waits, and says whether the client is still there.
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

// shape is how the errors of an endpoint look.
type shape int

const (
	shapeStream shape = iota // /stream
	shapeAnswer              // /api/answer
	shapeSearch              // /api/search and feedback
	shapeOpenAI              // /v1
)

// prelude does the switches that come before an answer, and says whether there is to be one.
func prelude(w http.ResponseWriter, r *request, s switches, as shape) bool {
	if !pause(r.Context(), s.wait) {
		return false
	}
	if s.fail != "" {
		return !fail(w, s.fail, as)
	}
	if s.plainJSON {
		writeJSON(w, http.StatusOK, fields{"error": "The answer could not be made.", "success": false})
		return false
	}
	return true
}

// fail answers with a status in the shape that DocsGPT has for it. A status that is none is not answered.
func fail(w http.ResponseWriter, status string, as shape) bool {
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
		failAs(w, code, as, "This origin is not allowed to use this agent's API key.", "permission_error")
	case code == http.StatusServiceUnavailable:
		failAs(w, code, as, "Could not check this request's origin. Please try again later.", "server_error")
	case as == shapeOpenAI && code == http.StatusUnauthorized:
		failAs(w, code, as, "Invalid API key", "auth_error")
	case as == shapeOpenAI && code < 500:
		failAs(w, code, as, "Failed to process request", "invalid_request")
	case as == shapeOpenAI:
		failAs(w, code, as, sayLater, "server_error")
	case as == shapeStream && code == http.StatusBadRequest:
		streamRefusals.unknown(w)
	case as == shapeStream && code == http.StatusUnauthorized:
		streamRefusals.unauthorized(w)
	case as == shapeAnswer && code == http.StatusUnauthorized:
		answerRefusals.unauthorized(w)
	case as == shapeAnswer && code == http.StatusInternalServerError:
		failAnswer(w)
	case as == shapeSearch && code == http.StatusInternalServerError:
		writeJSON(w, code, fields{"error": "Search failed"})
	default:
		writeMessage(w, code, http.StatusText(code))
	}
	return true
}

func failAs(w http.ResponseWriter, code int, as shape, sentence, kind string) {
	if as == shapeOpenAI {
		writeJSON(w, code, openAIError(sentence, kind))
		return
	}
	writeJSON(w, code, fields{"message": sentence, "success": false})
}

// failQuota is the refusal of an account whose own quota is used up.
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
