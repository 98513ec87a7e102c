package archtest

import (
	"bytes"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// maxGoLines is the maximum length of a Go file, except for tests.
const maxGoLines = 500

// root returns the root folder of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// files returns the contents of all files that are tracked, or untracked but not ignored, by their slash-separated names.
func files(t *testing.T) map[string][]byte {
	t.Helper()
	// In some containers the clone belongs to another user.
	cmd := exec.CommandContext(t.Context(), "git", "-c", "safe.directory=*",
		"ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing files (this test needs git and a clone): %v\n%s", err, stderr.Bytes())
	}
	found := make(map[string][]byte)
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(cmd.Dir, filepath.FromSlash(name)))
		if os.IsNotExist(err) || err == nil && !info.Mode().IsRegular() {
			continue // deleted but not committed, or a symbolic link
		}
		content, err := os.ReadFile(filepath.Join(cmd.Dir, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		found[name] = content
	}
	if len(found) == 0 {
		t.Fatal("git lists no files")
	}
	return found
}

func TestGoFilesStayShort(t *testing.T) {
	for name, content := range files(t) {
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		if lines := bytes.Count(content, []byte("\n")); lines > maxGoLines {
			t.Errorf("%s has %d lines, more than %d: split it by topic", name, lines, maxGoLines)
		}
	}
}

// All files of the project are under LICENSE. Only third-party files in a folder assets/ have their own license, and NOTICE must
// list their folder.
func TestSingleLicense(t *testing.T) {
	const title = "Apache License\n                           Version 2.0"
	license := regexp.MustCompile(`(?i)^(licen[cs]e|copying)(\.\w+)?$`)
	all := files(t)
	if !bytes.Contains(all["LICENSE"], []byte(title)) {
		t.Error("LICENSE is not the Apache License 2.0")
	}
	for name := range all {
		if !license.MatchString(path.Base(name)) || name == "LICENSE" {
			continue
		}
		switch dir := path.Dir(name); {
		case !strings.Contains(name, "/assets/"):
			t.Errorf("%s: the only license of the project is LICENSE in the root folder", name)
		case !bytes.Contains(all["NOTICE"], []byte(dir)):
			t.Errorf("%s: NOTICE does not list %s", name, dir)
		}
	}
}

// machineTraces matches traces of a developer's machine: absolute paths, and package servers. The patterns do not match
// themselves.
var machineTraces = map[string]*regexp.Regexp{
	"a path of one machine": regexp.MustCompile(`(^|[^\w.$})\]])/(work|root|home/\w+)/`),
	"a package server": regexp.MustCompile(
		`\b(proxy\.golang|sum\.golang|registry\.npmjs|files\.pythonhosted|deb\.debian)\.org\b|\bpypi\.org\b`),
}

func TestNoMachineTraces(t *testing.T) {
	for name, content := range files(t) {
		if strings.HasSuffix(name, "go.sum") || !utf8.Valid(content) {
			continue
		}
		for i, line := range strings.Split(string(content), "\n") {
			for what, pattern := range machineTraces {
				if hit := pattern.FindString(line); hit != "" {
					t.Errorf("%s:%d contains %s: %q", name, i+1, what, hit)
				}
			}
		}
	}
}

func TestLockFilesHaveNoRegistryURLs(t *testing.T) {
	for name, content := range files(t) {
		if filepath.Base(name) == "package-lock.json" && bytes.Contains(content, []byte(`"resolved": "http`)) {
			t.Errorf("%s contains the address of a package server; create it again with "+
				"npm install --package-lock-only --omit-lockfile-registry-resolved", name)
		}
	}
}

func TestMachineTracePatterns(t *testing.T) {
	for name, tc := range map[string]struct {
		line string
		want bool
	}{
		"a home folder":                            {line: "see /" + "home/me/notes", want: true},
		"the home folder of root":                  {line: `"/` + `root/.cache"`, want: true},
		"a package server":                         {line: "https://pypi" + ".org/simple", want: true},
		"a folder of the project":                  {line: "./work/plan"},
		"a path under a variable":                  {line: "$HOME/work/x ${X}/work/x"},
		"a URL path that looks like a home folder": {line: "http://localhost/home"},
		"a Go module path":                         {line: "golang.org/x/vuln"},
	} {
		t.Run(name, func(t *testing.T) {
			got := false
			for _, pattern := range machineTraces {
				got = got || pattern.MatchString(tc.line)
			}
			if got != tc.want {
				t.Errorf("found = %v in %q, want %v", got, tc.line, tc.want)
			}
		})
	}
}
