package archtest

import (
	"regexp"
	"strings"
	"testing"
)

// Caddy responds to a host name that no site has with status 200 and an empty body. In the configurations that are shipped, a site with a
// name and without TLS has a second one on its port that has any name.
func TestShippedConfigurationsHaveNoEmptyPages(t *testing.T) {
	site := regexp.MustCompile(`(?m)^(?:\{\$\w+:)?http://([^\s:{}]*):(\{\$[^}]*\}|\d+)\}? \{$`)
	found := 0
	for name, content := range files(t) {
		caddyfile := strings.HasSuffix(name, "Caddyfile") || name == "charts/docsgate/templates/_helpers.tpl"
		if !caddyfile || strings.Contains(name, "testdata/") || strings.HasPrefix(name, "demo/") {
			continue
		}
		sites := site.FindAllStringSubmatch(string(content), -1)
		anyName := map[string]bool{}
		for _, m := range sites {
			found++
			anyName[m[2]] = anyName[m[2]] || m[1] == ""
		}
		for _, m := range sites {
			if !anyName[m[2]] {
				t.Errorf("%s: requests with another name than that of %s get an empty response", name, m[0])
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d sites were found", found)
	}
}
