package archtest

import (
	"path"
	"strings"
	"testing"
)

// The page of the end-to-end tests describes each of their files.
func TestEndToEndTestsAreDescribed(t *testing.T) {
	all := files(t)
	page := string(all["e2e/README.md"])
	found := 0
	for name := range all {
		if strings.HasPrefix(name, "e2e/test/") && strings.HasSuffix(name, ".test.mjs") {
			found++
			if section := strings.Split(page, "\n## "+path.Dir(strings.TrimPrefix(name, "e2e/"))+"\n"); len(section) != 2 ||
				!strings.Contains(strings.Split(section[1], "\n## ")[0], "`"+path.Base(name)+"`") {
				t.Errorf("e2e/README.md does not describe %s", name)
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d files were found", found)
	}
}
