package docsgpt

import (
	"net/http"
	"strings"
)

// translateFile turns an error of an endpoint for uploads, artifacts or speech into a refusal; nil: it has no meaning of
// its own there. These endpoints tell a bad credential by 401 only, so a 400 is about the file.
func translateFile(e *Endpoint, status int, said upstreamError) *Error {
	if strings.Contains(said.text, "origin") {
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
		// The address of an object store, often one that only servers reach, with a signature that opens it to anybody.
		r.Status, r.Code, r.Message = http.StatusBadGateway, CodeUpstreamError, "This file cannot be downloaded here."
	case e.Group != GroupSpeech:
		return nil
	case status == http.StatusNotFound && strings.Contains(said.text, "disabled"):
		r.Code, r.Message = "not_available", "Speech is not available on this server."
	case status == http.StatusNotFound || status == http.StatusForbidden:
		r.Status, r.Code, r.Message = http.StatusNotFound, "session_not_found", "There is no such transcription."
	case status == http.StatusConflict:
		r.Code, r.Message = "conflict", "The pieces of the recording came in the wrong order."
	case status == http.StatusBadRequest && e.Body == BodyForm:
		r.Code, r.Message = codeUnsupportedFile, "The recording was not accepted. Its type may not be supported."
	case status == http.StatusBadRequest:
		r.Code, r.Message = "bad_request", sentenceNotAccepted
	default:
		return nil
	}
	return r
}

// codeUnsupportedFile is the code of the refusal of a file that DocsGPT cannot use.
const codeUnsupportedFile = "file_not_accepted"
