package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// checkSharedLimits checks the connection to the server of shared_limits.
func (x *runner) checkSharedLimits(context.Context) {
	c := x.input.SharedLimits
	if c == nil {
		return
	}
	hosts := strings.Join(c.Hosts, ", ")
	switch c.Transport {
	case Plaintext:
		report := x.note
		if slices.ContainsFunc(c.Hosts, publicHost) {
			report = x.warn
		}
		report("limits.plaintext",
			fmt.Sprintf("The connection to the server of shared_limits at %s is not encrypted, so an attacker on the network path can change all limits, "+
				"and read the password.", hosts),
			"Enable TLS in the server, use rediss://, and remove insecure_plaintext from the block of shared_limits. It is acceptable inside the "+
				"private network of one compose file.")
	case Unverified, Verified:
		x.ok("limits.plaintext", "The connection to the server of shared_limits is encrypted, and its certificate is verified.")
	case Local:
		x.ok("limits.plaintext", "The server of shared_limits is on this machine.")
	}
	if c.Err != nil {
		x.warn("limits.shared", fmt.Sprintf("The server of shared_limits is not usable from here, so the gate applies its share of each limit: %v.", c.Err),
			"Start or fix the server; docs/cluster.md lists the permissions that its user needs.")
		return
	}
	x.ok("limits.shared", "The server of shared_limits accepts decisions.")
}
