package doctorcmd

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/docsgate/docsgate/doctor"
)

// The transport to the database is known from the configuration, even while the database is unavailable.
func TestDatabaseTransport(t *testing.T) {
	const feed = `{"apps":{"docsgate":{"feeds":[{"feed":"docsgpt","uri":"postgres://db.invalid/docsgpt%s"}]}}}`
	for options, want := range map[string]doctor.Database{
		`?sslmode=require`: {Transport: doctor.Unverified, Hosts: []string{"db.invalid"}},
		`?sslmode=disable`: {},
		`","insecure_plaintext":true,"snapshot":"off`: {Transport: doctor.Plaintext, Hosts: []string{"db.invalid"}},
		``: {Transport: doctor.Verified, Hosts: []string{"db.invalid"}},
	} {
		got := dryRun(fmt.Appendf(nil, feed, options))
		if all := got.databases["docsgpt:db.invalid:5432/docsgpt"]; !reflect.DeepEqual(all, want) {
			t.Errorf("%s: %+v, want %+v; %v", options, all, want, got.err)
		}
	}
}
