package doctorcmd

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/doctor"
)

// Checking a configuration leaves no files: files that belong to another user would prevent the gate from starting.
func TestWritesNothing(t *testing.T) {
	e := newEnv(t)
	e.noServer()
	e.site, e.bind = "ask.example.com", "tls internal"
	e.options += "\nfeed store " + e.path("keys.db")
	e.start()
	list := func() string {
		var all []string
		if err := filepath.WalkDir(e.dir, func(path string, _ fs.DirEntry, err error) error {
			all = append(all, path)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return strings.Join(all, "\n")
	}
	before := list()
	findings, err := e.examine()
	if err != nil || !slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.ID == "config.loads" && f.Severity == doctor.OK }) {
		t.Errorf("%v, %+v", err, findings)
	}
	if after := list(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestInvalidOptions(t *testing.T) {
	for _, c := range []struct {
		name   string
		set    func(*options)
		status int
		fault  string
	}{
		{"nothing to check", func(*options) {}, exitNothingChecked, "nothing to check"},
		{"a missing configuration", func(o *options) { o.config = "nowhere/Caddyfile" }, exitNothingChecked, "nowhere"},
		{"an address without a scheme", func(o *options) { o.URL = "ask.example.com" }, cli.ExitUsage, "--url"},
		{"a password in an address", func(o *options) { o.URL = "https://me:secret-of-mine@ask.example.com" }, cli.ExitUsage, "--url"},
		{"a query", func(o *options) { o.URL = "https://ask.example.com?api_key=secret-of-mine" }, cli.ExitUsage, "--url"},
		{"a page that is not a URL", func(o *options) { o.Page = "index.html" }, cli.ExitUsage, "--page"},
		{"a backend with a scheme", func(o *options) { o.Backends = []string{"http://ask.example.com"} }, cli.ExitUsage, "--backend"},
		{"two keys", func(o *options) { o.keyStdin, o.keyFile = true, "x" }, cli.ExitUsage, "mutually exclusive"},
		{"a source without a canary", func(o *options) { o.Source = ownSource }, cli.ExitUsage, "--canary"},
		{"a canary without a key", func(o *options) { o.Source, o.Canary = ownSource, canaryText }, cli.ExitUsage, "key"},
		{"an adapter alone", func(o *options) { o.adapter = "caddyfile" }, cli.ExitUsage, "--config"},
		{"no key on the standard input", func(o *options) { o.keyStdin = true }, cli.ExitUsage, "standard input"},
		{"a missing key file", func(o *options) { o.keyFile = "nowhere.txt" }, cli.ExitUsage, "reading the key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			var o options
			c.set(&o)
			cmd := new(cobra.Command)
			cmd.SetIn(strings.NewReader(""))
			err := o.run(t.Context(), cmd)
			if cli.Status(err) != c.status || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%v", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret-of-mine") {
				t.Errorf("the error contains a secret: %v", err)
			}
		})
	}
}

func TestPrintFindings(t *testing.T) {
	r := &doctor.Report{Findings: []doctor.Finding{
		{ID: "gate.answers", Severity: doctor.OK, Summary: "It answers.", DocsURL: "docs/doctor.md#gateanswers"},
		{ID: "gate.unauthenticated_access", Severity: doctor.Failure, Summary: "It " + strings.Repeat("lets in ", 20) + "\x1b[31mall.", Fix: "Shut it.", DocsURL: "docs/doctor.md#gateunauthenticated_access"},
		{ID: "backend.exposed", Severity: doctor.Unknown, Summary: "DocsGPT is elsewhere.", Fix: "Name it.", DocsURL: "docs/doctor.md#backendexposed"},
		{ID: "log.format", Severity: doctor.OK, Summary: "Logs have it.", DocsURL: "docs/doctor.md#logformat"},
	}}
	var plain, colored bytes.Buffer
	if err := errors.Join(printFindings(&plain, r, false), printFindings(&colored, r, true)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Gate\n  ok       It answers.\n  failure  It lets in", "\n           Fix: Shut it.\n",
		"(gate.unauthenticated_access, see docs/doctor.md#gateunauthenticated_access)", "\n1 failure, 2 checks passed, 1 not checked.\n",
		"Logs\n  ok       Logs have it.\n\nNot checked\n  -        DocsGPT is elsewhere.\n           To check it: Name it.\n",
	} {
		if !strings.Contains(plain.String(), want) {
			t.Errorf("%q is not in\n%s", want, plain.String())
		}
	}
	for line := range strings.Lines(plain.String()) {
		if len(line) > wrapWidth+1 {
			t.Errorf("too wide: %s", line)
		}
	}
	if strings.Contains(plain.String(), "\x1b") || !strings.Contains(colored.String(), "\x1b[31;1mfailure\x1b[0m") {
		t.Errorf("%q\n%q", plain.String(), colored.String())
	}
	if useColors(&plain) {
		t.Error("a buffer is not a terminal")
	}
}
