package house

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

// maxGoLines is the most lines that a Go file other than a test may have.
const maxGoLines = 500

// root returns the repository's top folder.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// files returns the slash-separated names of all files that are, or would be, in the repository, with their content.
func files(t *testing.T) map[string][]byte {
	t.Helper()
	// A clone that belongs to another user, as in some containers, is still the one that is meant.
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
			continue // removed but not yet committed, or a link
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
			t.Errorf("%s has %d lines; at most %d: split it by topic", name, lines, maxGoLines)
		}
	}
}

// The project's own files are all under LICENSE. Only what is taken from others as it is, in a folder assets/, has its
// own licence, and then NOTICE names it.
func TestOneLicence(t *testing.T) {
	const title = "Apache License\n                           Version 2.0"
	licence := regexp.MustCompile(`(?i)^(licen[cs]e|copying)(\.\w+)?$`)
	all := files(t)
	if !bytes.Contains(all["LICENSE"], []byte(title)) {
		t.Error("LICENSE is not the Apache License 2.0")
	}
	for name := range all {
		if !licence.MatchString(path.Base(name)) || name == "LICENSE" {
			continue
		}
		switch dir := path.Dir(name); {
		case !strings.Contains(name, "/assets/"):
			t.Errorf("%s: the project's one licence is LICENSE at the top", name)
		case !bytes.Contains(all["NOTICE"], []byte(dir)):
			t.Errorf("%s: NOTICE does not name %s", name, dir)
		}
	}
}

// foreign finds what a machine leaves behind in files: its own folders, and the servers it took packages from. The
// patterns do not match themselves.
var foreign = map[string]*regexp.Regexp{
	"a folder of one machine": regexp.MustCompile(`(^|[^\w.$})\]])/(work|root|home/\w+)/`),
	"a package server": regexp.MustCompile(
		`\b(proxy\.golang|sum\.golang|registry\.npmjs|files\.pythonhosted|deb\.debian)\.org\b|\bpypi\.org\b`),
}

func TestNothingOfTheMachineIsLeft(t *testing.T) {
	for name, content := range files(t) {
		if strings.HasSuffix(name, "go.sum") || !utf8.Valid(content) {
			continue
		}
		for i, line := range strings.Split(string(content), "\n") {
			for what, pattern := range foreign {
				if hit := pattern.FindString(line); hit != "" {
					t.Errorf("%s:%d holds %s: %q", name, i+1, what, hit)
				}
			}
		}
	}
}

func TestLockFilesNameNoServer(t *testing.T) {
	for name, content := range files(t) {
		if filepath.Base(name) == "package-lock.json" && bytes.Contains(content, []byte(`"resolved": "http`)) {
			t.Errorf("%s names the server its packages came from; make it again with "+
				"npm install --package-lock-only --omit-lockfile-registry-resolved", name)
		}
	}
}

func TestForeignPatternsFind(t *testing.T) {
	for name, tc := range map[string]struct {
		line string
		want bool
	}{
		"a home folder":                       {line: "see /" + "home/me/notes", want: true},
		"the superuser's folder":              {line: `"/` + `root/.cache"`, want: true},
		"a package server":                    {line: "https://pypi" + ".org/simple", want: true},
		"a folder of the project":             {line: "./work/plan"},
		"a path under a variable":             {line: "$HOME/work/x ${X}/work/x"},
		"an address path that looks like one": {line: "http://localhost/home"},
		"a Go module path":                    {line: "golang.org/x/vuln"},
	} {
		t.Run(name, func(t *testing.T) {
			got := false
			for _, pattern := range foreign {
				got = got || pattern.MatchString(tc.line)
			}
			if got != tc.want {
				t.Errorf("found = %v in %q, want %v", got, tc.line, tc.want)
			}
		})
	}
}
