package archtest

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Dependabot updates the dependencies of every module, npm package, list of Python packages and image.
func TestDependabotFindsAllDependencies(t *testing.T) {
	all := files(t)
	config := string(all[".github/dependabot.yaml"])
	listed := map[string][]string{}
	block := regexp.MustCompile(`package-ecosystem: (\S+)[^\n]*\n\s+(?:directory: (\S+)|directories: \[([^\]]+)\])`)
	for _, m := range block.FindAllStringSubmatch(config, -1) {
		listed[m[1]] = append(strings.Split(m[3], ", "), m[2])
	}
	found := map[string]int{}
	for name := range all {
		ecosystem := ""
		switch base := path.Base(name); {
		case base == "go.mod":
			ecosystem = "gomod"
		case base == "package.json":
			ecosystem = "npm"
		case base == "Dockerfile":
			ecosystem = "docker"
		case strings.HasSuffix(base, "requirements.txt"):
			ecosystem = "pip"
		default:
			continue
		}
		found[ecosystem]++
		if folder := path.Join("/", path.Dir(name)); !slices.Contains(listed[ecosystem], folder) {
			t.Errorf(".github/dependabot.yaml does not list %s for %s", folder, ecosystem)
		}
	}
	if len(found) != 4 || found["gomod"] < 5 {
		t.Errorf("found %v", found)
	}
}
