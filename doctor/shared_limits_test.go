package doctor

import (
	"errors"
	"testing"
)

func TestSharedLimits(t *testing.T) {
	for _, c := range []struct {
		server            SharedLimits
		plaintext, shared Severity
	}{
		{SharedLimits{Transport: Local}, OK, OK},
		{SharedLimits{Transport: Verified, Hosts: []string{"redis.example.com"}}, OK, OK},
		{SharedLimits{Transport: Plaintext, Hosts: []string{"redis.example.com"}}, Warning, OK},
		{SharedLimits{Transport: Plaintext, Hosts: []string{"redis"}}, Note, OK},
		{SharedLimits{Transport: Local, Err: errors.New("connection refused")}, OK, Warning},
	} {
		x := &runner{input: Input{SharedLimits: &c.server}}
		x.checkSharedLimits(t.Context())
		if len(x.Findings) != 2 || x.worst("limits.plaintext") != c.plaintext || x.worst("limits.shared") != c.shared {
			t.Errorf("%+v: %+v", c.server, x.Findings)
		}
	}
	x := &runner{}
	if x.checkSharedLimits(t.Context()); len(x.Findings) != 0 {
		t.Errorf("without shared_limits: %+v", x.Findings)
	}
}
