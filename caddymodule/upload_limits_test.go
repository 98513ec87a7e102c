package caddymodule_test

import (
	"context"
	"fmt"
	"io"
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

func TestUploadLimits(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	testUploadModes(t, "max_upload_size 1MiB", func(t *testing.T, g *gate) {
		big := formPart(`name="file"; filename="a.txt"`, strings.Repeat("x", 1<<20))
		r := g.sendForm("/api/store_attachment", keyPart(tokenAgent), big)
		if r.status != http.StatusRequestEntityTooLarge {
			t.Errorf("announced: %d %s", r.status, r.body)
		}
		checkErrorFormat(t, "/api/store_attachment", r, "body_too_large")
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

// stream sends a form without a Content-Length.
func (g *gate) stream(ctx context.Context, body io.Reader) response {
	g.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.urls[0]+"/api/store_attachment", body)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "multipart/form-data; boundary="+edge)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return response{body: err.Error()}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return response{resp.StatusCode, resp.Header, string(text)}
}

// zeroReader returns n zero bytes.
type zeroReader struct{ n int64 }

func (z *zeroReader) Read(p []byte) (int, error) {
	if z.n == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), z.n)]
	clear(p)
	z.n -= int64(len(p))
	return len(p), nil
}

// hugeForm returns a form with a file of a size, which is generated while it is read.
func hugeForm(size int64) io.Reader {
	head, tail, _ := strings.Cut(formPart(`name="file"; filename="a.txt"`, "|"), "|")
	return io.MultiReader(strings.NewReader(head), &zeroReader{size}, strings.NewReader(tail+keyPart(tokenAgent)+"--"+edge+"--\r\n"))
}

// The memory for an upload does not depend on its size.
func TestLargeUploadConstantMemory(t *testing.T) {
	const size = 100<<20 - 2000
	got := make(chan int64, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || n != r.ContentLength {
			n = -1
		}
		got <- n
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"task_id":"t"}`)
	}))
	defer upstream.Close()
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			g := newGate(t)
			g.start(fmt.Sprintf(fileSite(site), strings.TrimPrefix(upstream.URL, "http://"), ""))
			// The first request creates pools and connections.
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
					t.Errorf("%d bytes were forwarded", n)
				}
			})
			t.Logf("%d MiB went through %d KiB of memory, garbage included", size>>20, allocated>>10)
			if allocated > enough {
				t.Errorf("%d bytes were allocated", allocated)
			}
		})
	}
}

// openFiles returns the number of open files without a name.
func openFiles(t *testing.T, dir string) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return len(namedUploads(t, dir))
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

// namedUploads returns the uploads that have a name in a folder.
func namedUploads(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "docsgate-upload-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Uploads that were forwarded, rejected or canceled leave no files.
func TestUploadsLeaveNoTempFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	testUploadModes(t, "", func(t *testing.T, g *gate) {
		large := formPart(`name="file"; filename="a.txt"`, strings.Repeat("x", 2<<20))
		for _, token := range []string{tokenAgent, "wrong"} {
			g.sendForm("/api/store_attachment", large, keyPart(token))
		}
		waitFor(t, "the files are closed", func() bool { return openFiles(t, dir) == 0 })
		before := len(g.backend.Calls())
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.urls[0], "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /api/store_attachment HTTP/1.1\r\nHost: gate\r\nContent-Length: 9000000\r\n"+
			"Content-Type: multipart/form-data; boundary=%s\r\n\r\n%s", edge, keyPart(tokenAgent)+strings.TrimSuffix(large, "\r\n"))
		if runtime.GOOS == "linux" {
			waitFor(t, "the upload is in a file", func() bool { return openFiles(t, dir) == 1 })
		}
		conn.Close()
		waitFor(t, "the file is closed", func() bool { return openFiles(t, dir) == 0 })
		if left := namedUploads(t, dir); len(left) > 0 {
			t.Errorf("remaining files: %v", left)
		}
		if after := len(g.backend.Calls()); after != before {
			t.Error("a part of an upload was forwarded")
		}
	})
}

// blockingReader blocks until its context is canceled.
type blockingReader struct{ ctx context.Context }

func (w blockingReader) Read([]byte) (int, error) {
	<-w.ctx.Done()
	return 0, w.ctx.Err()
}

// Many large uploads with one key cannot fill the disk, and do not block other keys or small uploads. When they end, their space is
// released.
func TestTooManyUploads(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	testUploadModesWith(t, "min_body_rate 1B", "", func(t *testing.T, g *gate) {
		begin := formPart(`name="file"; filename="a.txt"`, strings.Repeat("x", 600<<10))
		ctx, stop := context.WithCancel(t.Context())
		var crowd sync.WaitGroup
		var r response
		waitFor(t, "the disk budget is used up", func() bool {
			crowd.Go(func() {
				g.stream(ctx, io.MultiReader(strings.NewReader(keyPart(tokenAgent)+begin), blockingReader{ctx}))
			})
			r = g.sendForm("/api/store_attachment", begin, keyPart(tokenAgent))
			return r.status != http.StatusOK
		})
		if r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" {
			t.Errorf("%d %v", r.status, r.header)
		}
		checkErrorFormat(t, "/api/store_attachment", r, "too_many_uploads")
		for name, parts := range map[string][]string{
			"the key first": {keyPart(tokenAgent), begin}, "the key last": {begin, keyPart(tokenAgent)},
		} {
			checkErrorFormat(t, name, g.sendForm("/api/store_attachment", parts...), "too_many_uploads")
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
		waitFor(t, "the disk budget is available again", func() bool {
			return g.sendForm("/api/store_attachment", begin, keyPart(tokenAgent)).status == http.StatusOK
		})
	})
}

// A full disk is logged, and the error response allows a retry.
func TestUploadStorageFailure(t *testing.T) {
	testUploadModes(t, "", func(t *testing.T, g *gate) {
		t.Setenv("TMPDIR", g.dir+"/missing")
		r := g.sendForm("/api/store_attachment", formPart(`name="file"; filename="a.txt"`, strings.Repeat("x", 1<<20)), keyPart(tokenAgent))
		if r.status != http.StatusServiceUnavailable {
			t.Errorf("%d %s", r.status, r.body)
		}
		checkErrorFormat(t, "/api/store_attachment", r, "upload_failed")
		if !strings.Contains(g.logs(), "storing an upload failed") {
			t.Error("nothing is logged")
		}
	})
}
