package commands

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/docsgpttest"
	"github.com/docsgate/docsgate/internal/testprocess"
)

const exitToken = "token-of-the-exit-test"

// exitConfig has a built-in upstream and a reverse_proxy. Without the gate's shutdown the process would not exit.
const exitConfig = `{
	admin unix/%[1]s/admin
	persist_config off
	docsgate {
		feed file %[1]s/keys.yaml
		shutdown_grace 1s
	}
}
http://127.0.0.1:%[2]s {
	handle /own/* {
		uri strip_prefix /own
		docsgate %[3]s {
			endpoints widget attachments %[4]s
			client_write_timeout 1h
		}
	}
	handle {
		docsgate {
			endpoints widget
			client_write_timeout 1h
		}
		reverse_proxy %[3]s
	}
}
`

// exitRequests are requests that would block a graceful shutdown forever: streams that the client does not read, upstreams that do
// not respond, and bodies that never end.
var exitRequests = map[string]string{
	"an unread stream":      exitQuestion("/own", "[[words=100000]]"),
	"an unread stream, too": exitQuestion("", "[[words=100000]]"),
	"no first byte":         exitQuestion("/own", "[[wait=600]]"),
	"no first byte, too":    exitQuestion("", "[[wait=600]]"),
	"a body that never ends": "POST /own/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n" +
		"Content-Length: 100\r\n\r\n{",
	"an upload that never ends": "POST /own/api/store_attachment HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n" +
		"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; " +
		"filename=\"a.txt\"\r\n\r\nhello",
}

func exitQuestion(prefix, text string) string {
	body := fmt.Sprintf(`{"question":%q,"history":"[]","api_key":%q}`, text, exitToken)
	return fmt.Sprintf("POST %s/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		prefix, len(body), body)
}

// SIGTERM ends the process despite clients that keep requests open, also in a configuration that a reload has replaced. A client that
// reads its stream gets the code shutting_down.
func TestShutdownExits(t *testing.T) {
	for _, reload := range []bool{false, true} {
		t.Run(fmt.Sprintf("reload %v", reload), func(t *testing.T) {
			dir := t.TempDir()
			b := docsgpttest.New(docsgpttest.Options{Keys: map[string][]string{"agent": nil}})
			server := httptest.NewServer(b)
			defer server.Close()
			port, err := testprocess.FreePort()
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256([]byte(exitToken))
			write := func(name, text string) {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("keys.yaml", fmt.Sprintf("keys:\n  - {id: exit, sha256: %s, agent: \"{env.EXIT_AGENT}\"}\n", hex.EncodeToString(sum[:])))
			write("Caddyfile", fmt.Sprintf(exitConfig, dir, port, strings.TrimPrefix(server.URL, "http://"), ""))
			write("Caddyfile.new", fmt.Sprintf(exitConfig, dir, port, strings.TrimPrefix(server.URL, "http://"), "openai"))

			docsgate := func(args ...string) *exec.Cmd {
				cmd := exec.CommandContext(t.Context(), "docsgate", args...)
				cmd.Env = append(os.Environ(), "EXIT_AGENT=agent", "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
				cmd.Stderr = &bytes.Buffer{}
				return cmd
			}
			run := docsgate("run", "--config", filepath.Join(dir, "Caddyfile"))
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			exited := make(chan error, 1)
			go func() { exited <- run.Wait() }()
			dial := func() (c net.Conn) {
				t.Helper()
				for {
					if c, err = (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:"+port); err == nil {
						t.Cleanup(func() { c.Close() })
						return c
					}
					select {
					case err := <-exited:
						t.Fatalf("it does not run: %v\n%s", err, run.Stderr)
					case <-time.After(10 * time.Millisecond):
					}
				}
			}
			reader := dial()
			if _, err := io.WriteString(reader, exitQuestion("/own", "[[gap=600]]")); err != nil {
				t.Fatal(err)
			}
			lines, begun := bufio.NewScanner(reader), false
			for !begun && lines.Scan() {
				begun = strings.Contains(lines.Text(), `"answer"`)
			}
			if !begun {
				t.Fatalf("no stream begins, the last line is %q", lines.Text())
			}
			for _, request := range exitRequests {
				c := dial()
				if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
					t.Fatal(err)
				}
				if _, err := io.WriteString(c, request); err != nil {
					t.Fatal(err)
				}
			}
			for streams := 0; streams < 5; time.Sleep(10 * time.Millisecond) {
				if streams = b.OpenStreams(); t.Context().Err() != nil {
					t.Fatalf("only %d streams begin", streams)
				}
			}
			if reload {
				cmd := docsgate("reload", "--config", filepath.Join(dir, "Caddyfile.new"), "--address", "unix/"+dir+"/admin")
				if err := cmd.Run(); err != nil {
					t.Fatalf("%v\n%s", err, cmd.Stderr)
				}
			}
			if err := run.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := <-exited; err != nil { // the test's own deadline is the limit
				t.Errorf("it ends with %v\n%s", err, run.Stderr)
			}
			told := false
			for lines.Scan() {
				told = told || strings.Contains(lines.Text(), `"code":"shutting_down"`)
			}
			if !told {
				t.Error("the stream of the reading client has no shutting_down")
			}
		})
	}
}
