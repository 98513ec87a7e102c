package caddymodule_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/docsgate/docsgate/internal/alloctest"
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

func TestUploadTokenPositions(t *testing.T) {
	fileWays(t, "", func(t *testing.T, g *gate) {
		const path, file = "/api/store_attachment", "file[a.txt]=content of a.txt"
		agent := file + "\napi_key[]=" + agentAlpha
		other := formPart(`name="agent_id"`, "x") + formPart(`name="user"`, "y")
		for name, c := range map[string]struct {
			path   string
			parts  []string
			status int
			code   string
			want   string
		}{
			"key first":                {path, []string{keyPart(tokenAgent), filePart("a.txt")}, 200, "", agent},
			"key last":                 {path, []string{filePart("a.txt"), keyPart(tokenAgent)}, 200, "", agent},
			"key in the query":         {path + "?api_key=" + tokenAgent + "&user=x", []string{filePart("a.txt")}, 200, "", agent},
			"other fields are dropped": {path, []string{other, filePart("a.txt"), keyPart(tokenAgent), other}, 200, "", agent},
			"several files": {
				path,
				[]string{filePart("a.txt"), filePart("b.txt"), keyPart(tokenAgent)},
				200, "",
				file + "\nfile[b.txt]=content of b.txt\napi_key[]=" + agentAlpha,
			},
			"a source's key":           {path, []string{filePart("a.txt"), keyPart(tokenSource)}, 200, "", file},
			"no key":                   {path, []string{filePart("a.txt")}, 401, "invalid_api_key", ""},
			"an empty key":             {path, []string{filePart("a.txt"), keyPart("")}, 401, "invalid_api_key", ""},
			"a wrong key first":        {path, []string{keyPart("wrong"), filePart("a.txt")}, 401, "invalid_api_key", ""},
			"a wrong key last":         {path, []string{filePart("a.txt"), keyPart("wrong")}, 401, "invalid_api_key", ""},
			"a wrong key in the query": {path + "?api_key=wrong", []string{filePart("a.txt")}, 401, "invalid_api_key", ""},
			"an expired key first":     {path, []string{keyPart(tokenOld), filePart("a.txt")}, 401, "invalid_api_key", ""},
			"DocsGPT's own key":        {path, []string{filePart("a.txt"), keyPart(agentAlpha)}, 401, "invalid_api_key", ""},
			"keys in form and query": {
				path + "?api_key=" + tokenAgent, []string{filePart("a.txt"), keyPart(tokenAgent)}, 400, "bad_request", "",
			},
			"keys in query and form": {
				path + "?api_key=" + tokenAgent, []string{keyPart(tokenAgent), filePart("a.txt")}, 400, "bad_request", "",
			},
			"an empty key beside the query": {
				path + "?api_key=" + tokenAgent, []string{filePart("a.txt"), keyPart("")}, 400, "bad_request", "",
			},
			"two keys in the form": {path, []string{keyPart(tokenAgent), filePart("a.txt"), keyPart(tokenAgent)}, 400, "bad_request", ""},
			"two keys in the query": {
				path + "?api_key=" + tokenAgent + "&api%5Fkey=x", []string{filePart("a.txt")}, 400, "bad_request", "",
			},
			"no file":         {path, []string{keyPart(tokenAgent)}, 400, "bad_request", ""},
			"a key as a file": {path, []string{filePart("a.txt"), formPart(`name="api_key"; filename="x"`, tokenAgent)}, 400, "bad_request", ""},
			"two names in one part": {
				path, []string{filePart("a.txt"), formPart(`name="x"; name="api_key"`, tokenAgent)}, 400, "bad_request", "",
			},
			"a type that DocsGPT does not read": {path, []string{filePart("a.mp4"), keyPart(tokenAgent)}, 400, "file_not_accepted", "-"},
			"a bad agent key":                   {path, []string{filePart("a.txt"), keyPart(tokenStale)}, 502, "upstream_refused", "-"},
		} {
			t.Run(name, func(t *testing.T) {
				g.backend.Reset()
				r := g.sendForm(c.path, c.parts...)
				if r.status != c.status {
					t.Fatalf("status %d, want %d: %s", r.status, c.status, r.body)
				}
				noSecrets(t, "the answer", r.body+fmt.Sprint(r.header))
				if c.code != "" {
					checkShape(t, path, r, c.code)
				}
				if calls := g.backend.Calls(); c.want == "" && len(calls) > 0 {
					t.Errorf("DocsGPT got %s %s", calls[0].Method, calls[0].Path)
				}
				if c.want == "" || c.want == "-" {
					return
				}
				if got := g.forwardedForm(); got != c.want {
					t.Errorf("got\n%s\nwant\n%s", got, c.want)
				}
				authorization := ""
				if c.want == file {
					authorization = "Bearer " + access
				}
				if call := g.last(); call.RawQuery != "" || call.Header.Get("Authorization") != authorization {
					t.Errorf("query %q, Authorization %q", call.RawQuery, call.Header.Get("Authorization"))
				}
			})
		}
	})
}

func TestUploadNotMultipart(t *testing.T) {
	fileWays(t, "", func(t *testing.T, g *gate) {
		form := filePart("a.txt") + keyPart(tokenAgent) + "--" + edge + "--\r\n"
		plain := "multipart/form-data; boundary=" + edge
		for name, c := range map[string]struct {
			headers []string
			status  int
			code    string
		}{
			"no type":           {[]string{"Content-Type", ""}, 415, "not_form"},
			"JSON":              {nil, 415, "not_form"},
			"urlencoded":        {[]string{"Content-Type", "", "Content-Type", "application/x-www-form-urlencoded"}, 415, "not_form"},
			"two boundaries":    {[]string{"Content-Type", "", "Content-Type", plain + "; boundary=x"}, 415, "not_form"},
			"two types":         {[]string{"Content-Type", "", "Content-Type", plain, "Content-Type", plain}, 415, "not_form"},
			"compressed":        {[]string{"Content-Type", "", "Content-Type", plain, "Content-Encoding", "gzip"}, 415, "not_form"},
			"another boundary":  {[]string{"Content-Type", "", "Content-Type", "multipart/form-data; boundary=x"}, 400, "bad_request"},
			"identity encoding": {[]string{"Content-Type", "", "Content-Type", plain, "Content-Encoding", "identity"}, 200, ""},
		} {
			t.Run(name, func(t *testing.T) {
				g.backend.Reset()
				r := g.send(http.MethodPost, "/api/store_attachment", form, c.headers...)
				if r.status != c.status {
					t.Fatalf("status %d, want %d: %s", r.status, c.status, r.body)
				}
				if c.code == "" {
					return
				}
				checkShape(t, "/api/store_attachment", r, c.code)
				if calls := g.backend.Calls(); len(calls) > 0 {
					t.Errorf("DocsGPT got %s %s", calls[0].Method, calls[0].Path)
				}
			})
		}
	})
}

// What an upload gave to a key is that key's alone: the task, and the attachment that comes of it.
func TestAttachmentOwnership(t *testing.T) {
	fileWays(t, "", func(t *testing.T, g *gate) {
		for name, c := range map[string]struct{ token, foreign string }{
			"an agent's":      {tokenAgent, tokenOther},
			"a source's":      {tokenSource, tokenMany},
			"agent, source":   {tokenAgent, tokenSource},
			"source, agent":   {tokenSource, tokenAgent},
			"second of agent": {tokenOther, tokenAgent},
		} {
			t.Run(name, func(t *testing.T) {
				one := g.sendForm("/api/store_attachment", filePart("one.txt"), keyPart(c.token)).made(t)
				two := g.sendForm("/api/store_attachment", filePart("a.txt"), filePart("b.txt"), keyPart(c.token)).made(t)
				if len(two.Tasks) != 2 || one.TaskID == "" || one.AttachmentID == "" {
					t.Fatalf("%+v %+v", one, two)
				}
				ids := []string{one.AttachmentID}
				for i, task := range append(two.Tasks, one) {
					if i < 2 {
						ids = append(ids, task.AttachmentID)
					}
					status := g.status(task.TaskID)
					if status.Status != "PROGRESS" {
						t.Errorf("%+v", status)
					}
					if status = g.status(task.TaskID); status.Status != "SUCCESS" || status.Result["attachment_id"] != task.AttachmentID {
						t.Errorf("%+v", status)
					}
					if status.Result["filename"] == nil || status.Result["path"] != nil {
						t.Errorf("the result says too little, or tells the owner's name: %v", status.Result)
					}
				}
				list, err := json.Marshal(ids)
				if err != nil {
					t.Fatal(err)
				}
				for _, path := range []string{"/stream", "/api/answer"} {
					r := g.ask(path, c.token, "what?", `,"attachments":`+string(list))
					if r.status != http.StatusOK || !strings.Contains(r.body, "files=one.txt,a.txt,b.txt") {
						t.Errorf("its own key: %d %s", r.status, r.body)
					}
					g.backend.Calls()
					before := len(g.backend.Calls())
					r = g.ask(path, c.foreign, "what?", `,"attachments":`+string(list))
					checkShape(t, path, r, "attachment_not_found")
					r = g.ask(path, c.token, "what?", `,"attachments":["00000000-0000-0000-0000-000000000000"]`)
					checkShape(t, path, r, "attachment_not_found")
					r = g.ask(path, c.token, "what?", `,"attachments":"`+ids[0]+`"`)
					checkShape(t, path, r, "bad_request")
					r = g.ask(path, c.token, "what?", `,"attachments":[{"$ne":null}]`)
					checkShape(t, path, r, "bad_request")
					if after := len(g.backend.Calls()); after != before {
						t.Errorf("DocsGPT got %d requests", after-before)
					}
					if r = g.ask(path, c.token, "what?", `,"attachments":null`); r.status != http.StatusOK {
						t.Errorf("null: %d %s", r.status, r.body)
					}
				}
			})
		}
		for name, query := range map[string]string{
			"unknown": "?task_id=00000000-0000-0000-0000-000000000000", "another kind": "?task_id=x&task=y",
		} {
			r := g.send(http.MethodGet, "/api/task_status"+query, "")
			if r.status != http.StatusNotFound {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
			checkShape(t, "/api/task_status", r, "task_not_found")
		}
		checkShape(t, "/api/task_status", g.send(http.MethodGet, "/api/task_status", ""), "bad_request")
		checkShape(t, "/api/task_status", g.send(http.MethodGet, "/api/task_status?task_id=a&task_id=b", ""), "bad_request")
	})
}

// status asks about a task, without a key, as widgets do.
func (g *gate) status(task string) made {
	g.t.Helper()
	return g.send(http.MethodGet, "/api/task_status?task_id="+task, "").made(g.t)
}

// Where uploads are not open, a chat names none, not even its owner's.
func TestAttachmentsDroppedIfNotEnabled(t *testing.T) {
	bothWays(t, "", func(t *testing.T, g *gate) {
		r := g.ask("/stream", tokenAgent, "what?", `,"attachments":["a"]`)
		if r.status != http.StatusOK || strings.Contains(string(g.last().Body), "attachments") {
			t.Errorf("%d %s", r.status, g.last().Body)
		}
		checkShape(t, "/api/store_attachment", g.sendForm("/api/store_attachment", filePart("a"), keyPart(tokenAgent)), "not_found")
		checkShape(t, "/api/task_status", g.send(http.MethodGet, "/api/task_status?task_id=a", ""), "not_found")
	})
}

func TestUploadsOfOtherVersions(t *testing.T) {
	for version, c := range map[string]struct {
		token  string
		status int
	}{
		"0.14, agent":  {tokenAgent, http.StatusForbidden},
		"0.14, source": {tokenSourceObject, http.StatusOK},
		"0.15, agent":  {tokenAgent, http.StatusOK},
	} {
		t.Run(version, func(t *testing.T) {
			g := prepare(t)
			g.write(fmt.Sprintf("keys:\n  - {id: agent, sha256: %s, agent: \"{env.AGENT_ALPHA}\"}\n"+
				"  - {id: object, sha256: %s, source: [\"0123456789abcdef01234567\"]}\n", sha(tokenAgent), sha(tokenSourceObject)))
			config := g.config("docsgate " + g.address + " {\nendpoints attachments\n}\n")
			number, _, _ := strings.Cut(version, ",")
			if err := g.load(strings.Replace(config, "upstream_token", "docsgpt_version "+number+"\nupstream_token", 1)); err != nil {
				t.Fatal(err)
			}
			r := g.sendForm("/api/store_attachment", filePart("a.txt"), keyPart(c.token))
			if r.status != c.status {
				t.Fatalf("%d %s", r.status, r.body)
			}
			if c.status == http.StatusForbidden {
				checkShape(t, "/api/store_attachment", r, "binding_not_supported")
			}
		})
	}
}

// tokenSourceObject is for a source of a DocsGPT that names them by ObjectId.
const tokenSourceObject = "canary-token-object"

func TestUploadLimits(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	fileWays(t, "max_upload_size 1MiB", func(t *testing.T, g *gate) {
		big := formPart(`name="file"; filename="a.txt"`, strings.Repeat("x", 1<<20))
		r := g.sendForm("/api/store_attachment", keyPart(tokenAgent), big)
		if r.status != http.StatusRequestEntityTooLarge {
			t.Errorf("announced: %d %s", r.status, r.body)
		}
		checkShape(t, "/api/store_attachment", r, "body_too_large")
		resp := g.stream(t.Context(), io.MultiReader(strings.NewReader(keyPart(tokenAgent)+big), strings.NewReader("--"+edge+"--\r\n")))
		if resp.status != http.StatusRequestEntityTooLarge {
			t.Errorf("not announced: %d %s", resp.status, resp.body)
		}
		fits := formPart(`name="file"; filename="a.txt"`, strings.Repeat("x", 1<<20-1000))
		if r = g.sendForm("/api/store_attachment", fits, keyPart(tokenAgent)); r.status != http.StatusOK {
			t.Errorf("below: %d %s", r.status, r.body)
		}
		if calls := g.backend.Calls(); len(calls) != 1 {
			t.Errorf("DocsGPT got %d requests", len(calls))
		}
	})
}

// stream sends a form whose length is not known before.
func (g *gate) stream(ctx context.Context, body io.Reader) reply {
	g.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.urls[0]+"/api/store_attachment", body)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "multipart/form-data; boundary="+edge)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return reply{body: err.Error()}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// zeros is n bytes that were nowhere before.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), z.n)]
	clear(p)
	z.n -= int64(len(p))
	return len(p), nil
}

// hugeForm is a form with a file of that size, made while it is read.
func hugeForm(size int64) io.Reader {
	head, tail, _ := strings.Cut(formPart(`name="file"; filename="a.txt"`, "|"), "|")
	return io.MultiReader(strings.NewReader(head), &zeros{size}, strings.NewReader(tail+keyPart(tokenAgent)+"--"+edge+"--\r\n"))
}

// The client, the gate and DocsGPT together take little memory for an upload of any size.
func TestLargeUploadConstantMemory(t *testing.T) {
	const size = 100<<20 - 2000
	got := make(chan int64, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || n != r.ContentLength {
			n = -1
		}
		got <- n
		_, _ = io.WriteString(w, `{"task_id":"t"}`)
	}))
	defer upstream.Close()
	for name, site := range ways {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			g := prepare(t)
			g.start(fmt.Sprintf(fileSite(site), strings.TrimPrefix(upstream.URL, "http://"), ""))
			// Once before, so that pools and connections are there.
			if r := g.stream(t.Context(), hugeForm(1<<20)); r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.body)
			}
			<-got
			const enough = 1 << 20
			allocated := alloctest.MinBytes(enough, func() {
				if r := g.stream(t.Context(), hugeForm(size)); r.status != http.StatusOK {
					t.Fatalf("%d %s", r.status, r.body)
				}
				if n := <-got; n < size || n > size+2000 {
					t.Errorf("%d bytes came through", n)
				}
			})
			t.Logf("%d MiB went through %d KiB of memory, garbage included", size>>20, allocated>>10)
			if allocated > enough {
				t.Errorf("%d bytes were allocated", allocated)
			}
		})
	}
}

// openFiles is how many files without a name the process has open.
func openFiles(t *testing.T, dir string) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return len(uploadsIn(t, dir))
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, dir+"/docsgate-upload-") {
			n++
		}
	}
	return n
}

// uploadsIn are the uploads that have a name in a folder.
func uploadsIn(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "docsgate-upload-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Nothing is left of an upload: not of one that came through, not of a refused one, not of one that was broken off.
func TestUploadsLeaveNoTempFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	fileWays(t, "", func(t *testing.T, g *gate) {
		large := formPart(`name="file"; filename="a.txt"`, strings.Repeat("x", 2<<20))
		for _, token := range []string{tokenAgent, "wrong"} {
			g.sendForm("/api/store_attachment", large, keyPart(token))
		}
		until(t, "the files are closed", func() bool { return openFiles(t, dir) == 0 })
		before := len(g.backend.Calls())
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.urls[0], "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /api/store_attachment HTTP/1.1\r\nHost: gate\r\nContent-Length: 9000000\r\n"+
			"Content-Type: multipart/form-data; boundary=%s\r\n\r\n%s", edge, keyPart(tokenAgent)+strings.TrimSuffix(large, "\r\n"))
		if runtime.GOOS == "linux" {
			until(t, "the upload lies in a file", func() bool { return openFiles(t, dir) == 1 })
		}
		conn.Close()
		until(t, "the file is closed", func() bool { return openFiles(t, dir) == 0 })
		if left := uploadsIn(t, dir); len(left) > 0 {
			t.Errorf("left are %v", left)
		}
		if after := len(g.backend.Calls()); after != before {
			t.Error("a part of an upload was forwarded")
		}
	})
}

// waiting is a reader of what never comes.
type waiting struct{ ctx context.Context }

func (w waiting) Read([]byte) (int, error) {
	<-w.ctx.Done()
	return 0, w.ctx.Err()
}

// A crowd of large uploads with one key cannot fill the disk, nor keep other keys out; small ones still work, and places
// become free again.
func TestTooManyUploads(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	fileWaysWith(t, "min_body_rate 1B", "", func(t *testing.T, g *gate) {
		begin := formPart(`name="file"; filename="a.txt"`, strings.Repeat("x", 600<<10))
		ctx, stop := context.WithCancel(t.Context())
		var crowd sync.WaitGroup
		var r reply
		until(t, "there is no place", func() bool {
			crowd.Go(func() { g.stream(ctx, io.MultiReader(strings.NewReader(keyPart(tokenAgent)+begin), waiting{ctx})) })
			r = g.sendForm("/api/store_attachment", begin, keyPart(tokenAgent))
			return r.status != http.StatusOK
		})
		if r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" {
			t.Errorf("%d %v", r.status, r.header)
		}
		checkShape(t, "/api/store_attachment", r, "too_many_uploads")
		for name, parts := range map[string][]string{
			"the key first": {keyPart(tokenAgent), begin}, "the key last": {begin, keyPart(tokenAgent)},
		} {
			checkShape(t, name, g.sendForm("/api/store_attachment", parts...), "too_many_uploads")
		}
		if r = g.sendForm("/api/store_attachment", filePart("a.txt"), keyPart(tokenAgent)); r.status != http.StatusOK {
			t.Errorf("a small one: %d %s", r.status, r.body)
		}
		for name, parts := range map[string][]string{
			"the key first": {keyPart(tokenOther), begin}, "the key last": {begin, keyPart(tokenOther)},
		} {
			if r = g.sendForm("/api/store_attachment", parts...); r.status != http.StatusOK {
				t.Errorf("another key, %s: %d %s", name, r.status, r.body)
			}
		}
		stop()
		crowd.Wait()
		until(t, "there is a place again", func() bool {
			return g.sendForm("/api/store_attachment", begin, keyPart(tokenAgent)).status == http.StatusOK
		})
	})
}

// A full disk is the operator's matter, and the client can come back.
func TestUploadStorageFailure(t *testing.T) {
	fileWays(t, "", func(t *testing.T, g *gate) {
		t.Setenv("TMPDIR", g.dir+"/missing")
		r := g.sendForm("/api/store_attachment", formPart(`name="file"; filename="a.txt"`, strings.Repeat("x", 1<<20)), keyPart(tokenAgent))
		if r.status != http.StatusServiceUnavailable {
			t.Errorf("%d %s", r.status, r.body)
		}
		checkShape(t, "/api/store_attachment", r, "upload_failed")
		if !strings.Contains(g.logged(), "storing an upload failed") {
			t.Error("nothing is logged")
		}
	})
}
