package archtest

import (
	"regexp"
	"strings"
	"testing"
)

// The table of packages in docs/architecture.md lists every package, and the files that the page names exist.
func TestArchitecturePage(t *testing.T) {
	all := files(t)
	page := string(all["docs/architecture.md"])
	if page == "" {
		t.Fatal("no docs/architecture.md")
	}
	for path := range listPackages(t) {
		if name := strings.TrimPrefix(path, module+"/"); !strings.Contains(page, "`"+name+"`") {
			t.Errorf("docs/architecture.md does not list the package %s", name)
		}
	}
	// In the table of stages, names of files have no folder.
	for _, m := range regexp.MustCompile("`([a-z/]+/)?([a-z_]+\\.go)`").FindAllStringSubmatch(page, -1) {
		folder := m[1]
		if folder == "" {
			folder = "caddymodule/gateway/"
		}
		if _, ok := all[folder+m[2]]; !ok {
			t.Errorf("docs/architecture.md names %s, which does not exist", folder+m[2])
		}
	}
}
