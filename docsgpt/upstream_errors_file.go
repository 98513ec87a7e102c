package docsgpt

import (
	"net/http"
	"strings"
)

// mapFileError maps an error of an endpoint for uploads, artifacts or speech, or returns nil where the status has its
// usual meaning. These endpoints report an invalid credential only by 401, so a 400 is about the file.
func mapFileError(e *Endpoint, status int, reported upstreamError) *Error {
	if strings.Contains(reported.text, "origin") {
		return nil
	}
	r := &Error{Status: status}
	switch {
	case e.Name == "task_status" && status == http.StatusNotFound:
		r.Code, r.Message = "task_not_found", "There is no such task."
	case e.Group == GroupAttachments && e.Body == BodyForm && status == http.StatusBadRequest:
		r.Code, r.Message = codeUnsupportedFile, "The file was not accepted. Its type may not be supported."
	case e.Group == GroupArtifacts && (status == http.StatusNotFound || status == http.StatusForbidden):
		r.Status, r.Code, r.Message = http.StatusNotFound, "artifact_not_found", "There is no such file."
	case e.Download && status >= 300 && status <= 399:
		// The redirect leads to an object store, often internal, with a signature that gives anyone access to the file.
		r.Status, r.Code, r.Message = http.StatusBadGateway, CodeUpstreamError, "This file cannot be downloaded here."
	case e.Group != GroupSpeech:
		return nil
	case status == http.StatusNotFound && strings.Contains(reported.text, "disabled"):
		r.Code, r.Message = "not_available", "Speech is not available on this server."
	case status == http.StatusNotFound || status == http.StatusForbidden:
		r.Status, r.Code, r.Message = http.StatusNotFound, "session_not_found", "There is no such transcription."
	case status == http.StatusConflict:
		r.Code, r.Message = "conflict", "The parts of the recording arrived in the wrong order."
	case status == http.StatusBadRequest && e.Body == BodyForm:
		r.Code, r.Message = codeUnsupportedFile, "The recording was not accepted. Its type may not be supported."
	case status == http.StatusBadRequest:
		r.Code, r.Message = "bad_request", msgNotAccepted
	default:
		return nil
	}
	return r
}

// codeUnsupportedFile is the code for a file that DocsGPT cannot process.
const codeUnsupportedFile = "file_not_accepted"
