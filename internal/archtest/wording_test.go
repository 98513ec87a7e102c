package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// wordingRule is a phrase that the section Wording of CONTRIBUTING.md excludes. Spaces in a pattern match line breaks, too.
type wordingRule struct {
	pattern *regexp.Regexp
	use     string // what to write instead

	// before and after are words next to the phrase that make it correct. The pattern has one group for each of them.
	before, after []string
}

var wordingRules = []wordingRule{
	{pattern: phrase(`tells? whether`), use: "reports whether"},
	{pattern: phrase(`under way`), use: "in flight, or in progress"},
	{pattern: phrase(`for ever`), use: "forever, or permanently"},
	{pattern: phrase(`stands? (?:twice|in|beside)`), use: "is specified twice, or is in"},
	{pattern: phrase(`by (?:itself|themselves)`), use: "automatically, separately, or built-in"},
	{pattern: phrase(`at once`), use: "immediately, or at the same time"},
	{pattern: phrase(`mend(?:s|ed|ing)?`), use: "fix"},
	{pattern: phrase(`(?:somebody|whoever|nobody)`), use: "the code, the key or the request as the subject"},
	{pattern: phrase(`anew`), use: "again"},
	{
		pattern: regexp.MustCompile(`(?i)(?:\b(\w+) )?\bis no (\w+)`), use: "is not a",
		before: []string{"there"}, after: []string{"longer", "more", "less", "fewer", "later"},
	},
}

func phrase(pattern string) *regexp.Regexp { return regexp.MustCompile(`(?i)\b` + pattern + `\b`) }

// wordingExempt are generated texts and texts of others.
var wordingExempt = regexp.MustCompile(`^docs/versions\.md$|(^|/)(assets|testdata|node_modules)/`)

// find returns the phrases in a text that the rule excludes.
func (r wordingRule) find(text string) []string {
	var found []string
	for _, m := range r.pattern.FindAllStringSubmatch(text, -1) {
		if len(m) == 3 && (slices.Contains(r.before, strings.ToLower(m[1])) || slices.Contains(r.after, strings.ToLower(m[2]))) {
			continue
		}
		found = append(found, m[0])
	}
	return found
}

// quoted matches code and quotations, in which every word is allowed.
var quoted = regexp.MustCompile("(?s)```.*?```|`[^`]*`" + `|"[^"]*"`)

func prose(text string) string {
	return strings.Join(strings.Fields(quoted.ReplaceAllString(text, "X")), " ")
}

func TestWording(t *testing.T) {
	for name, content := range files(t) {
		if wordingExempt.MatchString(name) {
			continue
		}
		for where, text := range proseOf(t, name, content) {
			for _, rule := range wordingRules {
				for _, hit := range rule.find(text) {
					t.Errorf("%s: %q: write %s (see the section Wording of CONTRIBUTING.md)", where, hit, rule.use)
				}
			}
		}
	}
}

// proseOf returns the texts of a file by their positions: comments and, except in tests, string literals of Go; paragraphs of
// Markdown; comments of a Caddyfile.
func proseOf(t *testing.T, name string, content []byte) map[string]string {
	t.Helper()
	texts := map[string]string{}
	switch {
	case strings.HasSuffix(name, ".go"):
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, content, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range file.Comments {
			texts[fset.Position(group.Pos()).String()] = prose(group.Text())
		}
		if strings.HasSuffix(name, "_test.go") {
			break
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil && strings.Contains(text, " ") {
					texts[fset.Position(literal.Pos()).String()] = prose(text)
				}
			}
			return true
		})
	case strings.HasSuffix(name, ".md"):
		texts[name] = prose(string(content))
	case strings.HasSuffix(name, "Caddyfile"):
		texts[name] = prose(strings.ReplaceAll(string(content), "#", ""))
	}
	return texts
}

func TestWordingRules(t *testing.T) {
	for text, want := range map[string]int{
		"It tells whether a key is valid.":                1,
		"It reports whether a key is valid.":              0,
		"the request is still under\nway":                 1,
		"this is no key, and there is no other":           1,
		"the key is no longer valid":                      0,
		"write \"is not a\", not \"is no key\"":           0,
		"`at once` is code":                               0,
		"It recommends an amendment and standsin.":        0,
		"The gate mends it at once, for ever, by itself.": 4,
	} {
		got := 0
		for _, rule := range wordingRules {
			got += len(rule.find(prose(text)))
		}
		if got != want {
			t.Errorf("%q: found %d phrases, want %d", text, got, want)
		}
	}
}
