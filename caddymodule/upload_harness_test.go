package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
)

// testUploadModes runs a test in each forward mode, with the endpoint groups for files, and a second key for the agent of the first
// one.
func testUploadModes(t *testing.T, options string, test func(t *testing.T, g *gate)) {
	t.Helper()
	testUploadModesWith(t, "", options, test)
}

// testUploadModesWith is like testUploadModes, with global options.
func testUploadModesWith(t *testing.T, global, options string, test func(t *testing.T, g *gate)) {
	t.Helper()
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.writeKeys(keyFile() + fmt.Sprintf("  - {id: other, sha256: %s, agent: \"{env.AGENT_ALPHA}\"}\n", sha(tokenOther)))
			g.global = global
			g.start(fmt.Sprintf(fileSite(site), g.address, options))
			test(t, g)
		})
	}
}

func fileSite(site string) string {
	return strings.Replace(site, "endpoints widget openai health", "endpoints widget attachments artifacts speech", 1)
}

const edge = "a-boundary-of-a-client"

// formPart returns a part of a form; disposition follows "form-data; ".
func formPart(disposition, content string) string {
	return "--" + edge + "\r\nContent-Disposition: form-data; " + disposition + "\r\n\r\n" + content + "\r\n"
}

func keyPart(token string) string { return formPart(`name="api_key"`, token) }

func filePart(name string) string {
	return formPart(`name="file"; filename="`+name+`"`, "content of "+name)
}

// sendForm sends a form with parts.
func (g *gate) sendForm(path string, parts ...string) response {
	g.t.Helper()
	return g.send(http.MethodPost, path, strings.Join(parts, "")+"--"+edge+"--\r\n",
		"Content-Type", "", "Content-Type", "multipart/form-data; boundary="+edge)
}

// uploadResponse is the body of a response of the endpoints for files.
type uploadResponse struct {
	TaskID       string `json:"task_id"`
	AttachmentID string `json:"attachment_id"`
	SessionID    string `json:"session_id"`
	Tasks        []uploadResponse
	Status       string
	Result       map[string]any
	Artifacts    []struct{ ID string }
}

func (r response) made(t *testing.T) uploadResponse {
	t.Helper()
	var m uploadResponse
	if err := json.Unmarshal([]byte(r.body), &m); err != nil || r.status != http.StatusOK {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	return m
}

// forwardedForm returns the form that the backend has received, with one line for each part.
func (g *gate) forwardedForm() string {
	g.t.Helper()
	call := g.lastCall()
	_, params, err := mime.ParseMediaType(call.Header.Get("Content-Type"))
	if err != nil {
		g.t.Fatal(err)
	}
	if params["boundary"] == edge {
		g.t.Error("the client's boundary is forwarded")
	}
	if call.ContentLength != int64(len(call.Body)) || len(call.TransferEncoding) > 0 {
		g.t.Errorf("length %d, transfer encoding %v", call.ContentLength, call.TransferEncoding)
	}
	var lines []string
	for reader := multipart.NewReader(bytes.NewReader(call.Body), params["boundary"]); ; {
		p, err := reader.NextRawPart()
		if errors.Is(err, io.EOF) {
			return strings.Join(lines, "\n")
		}
		if err != nil {
			g.t.Fatal(err)
		}
		content, err := io.ReadAll(p)
		if err != nil {
			g.t.Fatal(err)
		}
		lines = append(lines, p.FormName()+"["+p.FileName()+"]="+string(content))
	}
}
