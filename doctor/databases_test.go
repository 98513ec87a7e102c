package doctor

import (
	"strings"
	"testing"
)

func TestDatabaseTransport(t *testing.T) {
	for _, c := range []struct {
		transport Transport
		hosts     string
		want      Severity
		says      string
	}{
		{Local, "", OK, "on this machine"},
		{Verified, "db.example.com", OK, "verified"},
		{Unverified, "db.example.com", Warning, "not verified"},
		{Unverified, "10.0.0.5", Note, "not verified"},
		{Plaintext, "db.example.com", Warning, "not encrypted"},
		{Plaintext, "postgres", Note, "not encrypted"},
		{Plaintext, "postgres db.example.com", Warning, "postgres, db.example.com"},
	} {
		x := &runner{input: Input{Databases: map[string]Database{
			"docsgpt:x/docsgpt": {Transport: c.transport, Hosts: strings.Fields(c.hosts)},
		}}}
		x.checkDatabases(t.Context())
		if len(x.Findings) != 1 || x.worst("feeds.plaintext") != c.want || !strings.Contains(x.Findings[0].Summary, c.says) {
			t.Errorf("%s to %s: %+v", c.transport, c.hosts, x.Findings)
		}
	}
}
