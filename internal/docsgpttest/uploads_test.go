package docsgpttest

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const (
	fileAgent = "file-agent"
	fileToken = "dgpt_pat_file"
)

func filesBackend() *Backend {
	return New(Options{
		Keys: map[string][]string{fileAgent: {"s"}}, Tokens: map[string][]string{fileToken: nil},
		Sources: map[string]string{"s": "alpha"},
	})
}

// uploadTo sends a form with a file of that name and, unless key is empty, a key.
func uploadTo(b *Backend, path, filename, key string, headers ...string) *httptest.ResponseRecorder {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, _ := form.CreateFormFile("file", filename) // a buffer takes everything
	_, _ = file.Write([]byte("content"))
	if key != "" {
		_ = form.WriteField("api_key", key)
	}
	_ = form.Close()
	r := httptest.NewRequest(http.MethodPost, path, &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if len(headers) > 0 && headers[0] == "Chunked" {
		r.TransferEncoding = []string{"chunked"}
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

func TestUploadErrors(t *testing.T) {
	bearer := []string{"Authorization", "Bearer " + fileToken}
	for name, c := range map[string]struct {
		path, filename, key string
		headers             []string
		status              int
		want                string
	}{
		"a key":                  {"/api/store_attachment", "a.txt", fileAgent, nil, 200, "task_id"},
		"a key in the query":     {"/api/store_attachment?api_key=" + fileAgent, "a.txt", "", nil, 200, "task_id"},
		"a token":                {"/api/store_attachment", "a.txt", "", bearer, 200, "attachment_id"},
		"an invalid key":         {"/api/store_attachment", "a.txt", "wrong", nil, 401, "Invalid API key"},
		"no credential":          {"/api/store_attachment", "a.txt", "", nil, 401, "Authentication required"},
		"unsupported type":       {"/api/store_attachment", "a.mp4", fileAgent, nil, 400, "Unsupported file type: .mp4"},
		"chunked, read as empty": {"/api/store_attachment", "a.txt", fileAgent, []string{"Chunked", "1"}, 400, "Missing file(s)"},
		"a recording":            {"/api/stt", "a.wav", fileAgent, nil, 200, "heard a.wav"},
		"no recording":           {"/api/stt", "a.txt", fileAgent, nil, 400, "Unsupported audio format"},
		"a recording, a token":   {"/api/stt", "a.wav", "", bearer, 403, "not_available_to_tokens"},
	} {
		t.Run(name, func(t *testing.T) {
			w := uploadTo(filesBackend(), c.path, c.filename, c.key, c.headers...)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("got %d %s, want %d and %q", w.Code, w.Body, c.status, c.want)
			}
		})
	}
}

// A task of an account is private; a task of an agent key is visible to every client that knows its id.
func TestTaskStatusAccess(t *testing.T) {
	b := filesBackend()
	poll := func(body, authorization string) int {
		_, rest, _ := strings.Cut(body, `"task_id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		r := httptest.NewRequest(http.MethodGet, "/api/task_status?task_id="+id, nil)
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		return w.Code
	}
	keyed := uploadTo(b, "/api/store_attachment", "a.txt", fileAgent).Body.String()
	owned := uploadTo(b, "/api/store_attachment", "a.txt", "", "Authorization", "Bearer "+fileToken).Body.String()
	if got := poll(keyed, ""); got != http.StatusOK {
		t.Errorf("task of a key, anonymous: %d", got)
	}
	if got := poll(owned, ""); got != http.StatusNotFound {
		t.Errorf("task of an account, anonymous: %d", got)
	}
	if got := poll(owned, "Bearer "+fileToken); got != http.StatusOK {
		t.Errorf("task of an account, by its owner: %d", got)
	}
	if got := poll("", ""); got != http.StatusBadRequest {
		t.Errorf("no id: %d", got)
	}
}
