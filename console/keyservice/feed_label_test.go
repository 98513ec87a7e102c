package keyservice

import "testing"

func TestFeedLabel(t *testing.T) {
	for _, c := range []struct {
		feed string
		all  []string
		want string
	}{
		{"store:/data/keys.db", []string{"store:/data/keys.db", "file:/etc/keys.yaml"}, "This gate"},
		{"file:/etc/keys.yaml", nil, "Key file"},
		{"docsgpt:db:5432/docsgpt", []string{"docsgpt:db:5432/docsgpt"}, "DocsGPT"},
		{"file:/etc/a.yaml", []string{"file:/etc/a.yaml", "file:/etc/b.yaml"}, "Key file (a.yaml)"},
		{"file:/etc/a/keys.yaml", []string{"file:/etc/b.yaml", "file:/etc/b/keys.yaml"}, "Key file (/etc/a/keys.yaml)"},
		{"vault:secret", []string{"vault:secret"}, "vault:secret"},
	} {
		if got := FeedLabel(c.feed, c.all); got != c.want {
			t.Errorf("%s: %q, want %q", c.feed, got, c.want)
		}
	}
}
