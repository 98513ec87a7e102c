package archtest

import (
	"path"
	"regexp"
	"strings"
	"testing"
)

// The page for operators describes each reason that a request is rejected for, other than the code of its response.
func TestOperatorPageHasAllReasons(t *testing.T) {
	all := files(t)
	page := string(all["docs/running.md"])
	reason := regexp.MustCompile(`(?:\bReason += |\breason: )"(\w+)"`)
	found := 0
	for name, text := range all {
		switch path.Dir(name) {
		case "keys", "policy", "caddymodule/gateway":
		default:
			continue
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range reason.FindAllStringSubmatch(string(text), -1) {
			found++
			if m[1] != "allowed" && !strings.Contains(page, "`"+m[1]+"`") {
				t.Errorf("docs/running.md does not describe the reason %s of %s", m[1], name)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d reasons were found", found)
	}
}
