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

// fileWays runs a test with each way of forwarding, with the endpoint groups for files, and a second key, other, for
// the agent of the first one.
func fileWays(t *testing.T, options string, test func(t *testing.T, g *gate)) {
	t.Helper()
	fileWaysWith(t, "", options, test)
}

// fileWaysWith is fileWays with global options.
func fileWaysWith(t *testing.T, global, options string, test func(t *testing.T, g *gate)) {
	t.Helper()
	for name, site := range ways {
		t.Run(name, func(t *testing.T) {
			g := prepare(t)
			g.write(keyFile() + fmt.Sprintf("  - {id: other, sha256: %s, agent: \"{env.AGENT_ALPHA}\"}\n", sha(tokenOther)))
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

// sendForm sends a form of these parts.
func (g *gate) sendForm(path string, parts ...string) reply {
	g.t.Helper()
	return g.send(http.MethodPost, path, strings.Join(parts, "")+"--"+edge+"--\r\n",
		"Content-Type", "", "Content-Type", "multipart/form-data; boundary="+edge)
}

// made is an answer of the endpoints for files.
type made struct {
	TaskID       string `json:"task_id"`
	AttachmentID string `json:"attachment_id"`
	SessionID    string `json:"session_id"`
	Tasks        []made
	Status       string
	Result       map[string]any
	Artifacts    []struct{ ID string }
}

func (r reply) made(t *testing.T) made {
	t.Helper()
	var m made
	if err := json.Unmarshal([]byte(r.body), &m); err != nil || r.status != http.StatusOK {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	return m
}

// forwardedForm is the form that the backend got, one line a part.
func (g *gate) forwardedForm() string {
	g.t.Helper()
	call := g.last()
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
