package docsgpttest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// The error messages of DocsGPT.
const (
	msgBadBody     = "The browser (or proxy) sent a request that this server could not understand."
	msgContentType = "Did not attempt to load JSON data because the request Content-Type was not 'application/json'."
	msgMethod      = "The method is not allowed for the requested URL."
	msgInternal    = "Internal Server Error"
	msgUnknown     = "Unknown error occurred"
	msgMalformed   = "Malformed request body"
	msgProcessing  = "An error occurred processing your request"
	msgTryLater    = "Please try again later. We apologize for any inconvenience."
)

// setCommonHeaders sets the headers of every response.
func setCommonHeaders(h http.Header) {
	h.Set("Server", "uvicorn")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Headers", "Content-Type, Authorization, Idempotency-Key")
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS")
	h.Set("Vary", "Origin")
}

// writeJSON responds as jsonify does.
func writeJSON(w http.ResponseWriter, status int, v any) {
	writeBody(w, status, "application/json", append(compact.dumps(v), '\n'))
}

// writeMessage responds as Flask-RESTX does on an error.
func writeMessage(w http.ResponseWriter, status int, message string) {
	writeBody(w, status, "application/json", append(spaced.dumps(object{{"message", message}}), '\n'))
}

// writeHTML responds with an error page of Werkzeug.
func writeHTML(w http.ResponseWriter, status int, title, message string) {
	message = strings.ReplaceAll(message, "'", "&#39;")
	page := fmt.Sprintf("<!doctype html>\n<html lang=en>\n<title>%d %s</title>\n<h1>%[2]s</h1>\n<p>%s</p>\n",
		status, title, message)
	writeBody(w, status, "text/html; charset=utf-8", []byte(page))
}

// writeErrorEvent responds with a stream of one error event without an id line.
func writeErrorEvent(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "data: %s\n\n", spaced.dumps(object{{"type", "error"}, {"error", message}}))
	_ = http.NewResponseController(w).Flush()
}

func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func writeUnsupportedMediaType(w http.ResponseWriter, html bool) {
	if html {
		writeHTML(w, http.StatusUnsupportedMediaType, "Unsupported Media Type", msgContentType)
		return
	}
	writeMessage(w, http.StatusUnsupportedMediaType, msgContentType)
}

func writeBadRequest(w http.ResponseWriter, html bool) {
	if html {
		writeHTML(w, http.StatusBadRequest, "Bad Request", msgBadBody)
		return
	}
	writeMessage(w, http.StatusBadRequest, msgBadBody)
}

func writeInternalError(w http.ResponseWriter, html bool) {
	if html {
		writeHTML(w, http.StatusInternalServerError, msgInternal, "The server encountered an internal error and was "+
			"unable to complete your request. Either the server is overloaded or there is an error in the application.")
		return
	}
	writeMessage(w, http.StatusInternalServerError, msgInternal)
}

func writeMethodNotAllowed(w http.ResponseWriter, to route) {
	allow := "OPTIONS, POST"
	if to.method == http.MethodGet {
		allow = "GET, HEAD, OPTIONS"
	}
	w.Header().Set("Allow", allow)
	if to.html {
		writeHTML(w, http.StatusMethodNotAllowed, "Method Not Allowed", msgMethod)
		return
	}
	writeMessage(w, http.StatusMethodNotAllowed, msgMethod)
}

// serveOptions responds to a preflight on any path as Starlette's CORS middleware does. Other OPTIONS requests get an empty
// response.
func serveOptions(w http.ResponseWriter, r *http.Request) {
	method, headers := r.Header.Get("Access-Control-Request-Method"), r.Header.Get("Access-Control-Request-Headers")
	if r.Header.Get("Origin") == "" || method == "" {
		writeBody(w, http.StatusOK, "text/html; charset=utf-8", nil)
		return
	}
	h := w.Header()
	h.Set("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, "+
		"Access-Control-Request-Private-Network")
	h.Set("Access-Control-Max-Age", "600")
	h.Set("Access-Control-Allow-Headers", "Accept, Accept-Language, Authorization, Content-Language, Content-Type, "+
		"Idempotency-Key, Mcp-Session-Id")
	var disallowed []string
	if !slices.Contains([]string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, method) {
		disallowed = append(disallowed, "method")
	}
	allowed := strings.Split(strings.ToLower(h.Get("Access-Control-Allow-Headers")), ", ")
	for name := range strings.SplitSeq(headers, ",") {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" && !slices.Contains(allowed, name) {
			disallowed = append(disallowed, "headers")
			break
		}
	}
	if r.Header.Get("Access-Control-Request-Private-Network") != "" {
		disallowed = append(disallowed, "private-network")
	}
	if len(disallowed) > 0 {
		writeBody(w, http.StatusBadRequest, "text/plain; charset=utf-8",
			[]byte("Disallowed CORS "+strings.Join(disallowed, ", ")))
		return
	}
	writeBody(w, http.StatusOK, "text/plain; charset=utf-8", []byte("OK"))
}
