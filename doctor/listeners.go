package doctor

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// checkListeners checks that sites whose host names belong to this machine are reachable only from it. A host name does not restrict
// that: any client can send it.
func (x *runner) checkListeners(context.Context) {
	const fix = "Add \"bind 127.0.0.1\" to the site. In a container, publish its port on 127.0.0.1 only."
	for i := range x.input.Gates {
		if s := &x.input.Gates[i].Site; s.isMeantLocal() && !s.isLocal() {
			x.warn("gate.listener", fmt.Sprintf("The gate at %s listens on all addresses (%s), although its name belongs to this machine: other "+
				"machines reach it with the header \"Host: %s\".", s, strings.Join(s.Listen, ", "), s.Hosts[0]), fix)
		}
	}
	for i := range x.input.Consoles {
		c := &x.input.Consoles[i]
		if s := &c.Site; (c.Token || c.Auth) && s.isMeantLocal() && !s.isLocal() { // otherwise console.protected reports it
			x.note("gate.listener", fmt.Sprintf("The console at %s listens on all addresses (%s), although its name belongs to this machine.",
				s, strings.Join(s.Listen, ", ")), fix)
		}
	}
	if len(x.input.Gates) > 0 && x.worst("gate.listener") == "" {
		x.ok("gate.listener", "No site with a name of this machine is reachable from others.")
	}
}

// checkShared reports addresses on which several processes listen. A gate does not start on the address of another process, but Caddy without
// the gate does.
func (x *runner) checkShared(context.Context) {
	for _, s := range x.input.Shared {
		what, fix := "clients", "Stop the process that is not the gate, or give its site another address."
		if s.Admin {
			what = "commands such as \"docsgate keys\" and \"docsgate reload\""
			fix = "Give each process an admin endpoint of its own with the global option admin, and restart both."
		}
		x.fail("config.shared_address", fmt.Sprintf("Several processes listen on %s (%s), so %s reach either of them.", s.Address,
			strings.Join(s.Processes, "; "), what), fix)
	}
}

// isMeantLocal reports whether all host names of the site belong to this machine.
func (s *Site) isMeantLocal() bool {
	for _, h := range s.Hosts {
		if h = strings.ToLower(h); h != "localhost" && !strings.HasSuffix(h, ".localhost") {
			if ip := net.ParseIP(strings.Trim(h, "[]")); ip == nil || !ip.IsLoopback() {
				return false
			}
		}
	}
	return len(s.Hosts) > 0
}

// checkOtherHosts checks that a request with another host name, such as from a proxy that replaces it, gets an error. Caddy responds
// with status 200 and an empty body, which clients take for an empty answer.
func (x *runner) checkOtherHosts(context.Context) {
	for i := range x.input.Gates {
		g := &x.input.Gates[i]
		if len(g.Hosts) > 0 && !g.CatchAll && g.TLS == No && !g.isMeantLocal() { // with TLS there is no certificate for another name
			x.note("gate.other_hosts", fmt.Sprintf("If a proxy in front of %s sends another host name, clients get an empty response with status 200.", g),
				"Add a site without a host name on the same port that responds with status 421, as docs/behind-a-proxy.md shows.")
		}
	}
	if len(x.input.Gates) > 0 && x.worst("gate.other_hosts") == "" {
		x.ok("gate.other_hosts", "Requests with another host name do not get an empty response.")
	}
}

// shortTimeout is less than models may think.
const shortTimeout = time.Minute

// checkTimeouts checks that no timeout ends answers of DocsGPT while its model thinks. The server's write timeout does not apply to the
// gate, which sets its own deadlines.
func (x *runner) checkTimeouts(context.Context) {
	for i := range x.input.Gates {
		for _, t := range x.input.Gates[i].Timeouts {
			if t.Value < shortTimeout {
				x.warn("stream.timeouts", fmt.Sprintf("%s ends answers at %s after %s of silence, and models may think for longer.",
					t.Option, &x.input.Gates[i], t.Value), "Remove "+t.Option+", or set it to several minutes.")
			}
		}
	}
	for i := range x.input.Bypasses {
		if b := &x.input.Bypasses[i]; b.WriteTimeout > 0 && x.leadsToDocsGPT(b) {
			x.warn("stream.timeouts", fmt.Sprintf("The write timeout of the server ends each response of DocsGPT at %s after %s. It does not apply "+
				"to the gate.", b, b.WriteTimeout), "Remove \"timeouts { write }\" from the servers options, or use another port for this site.")
		}
	}
	if len(x.input.Gates) > 0 && x.worst("stream.timeouts") == "" {
		x.ok("stream.timeouts", "No timeout in the configuration ends answers.")
	}
}

// checkQueue checks that requests wait for a free slot, and that the queue was long enough.
func (x *runner) checkQueue(context.Context) {
	for i := range x.input.Gates {
		if g := &x.input.Gates[i]; g.NoQueue {
			x.note("gate.queue", fmt.Sprintf("The gate at %s has no queue, so it rejects requests over its limits immediately.", g),
				"Remove \"queue 0\", so that they wait for a free slot.")
		}
	}
	rejected := x.input.Keys.QueueRejections
	if n := rejected["full"] + rejected["evicted"]; n > 0 {
		x.note("gate.queue", fmt.Sprintf("The queue was full: since the gate has started, %s lost its place or got none.", number(n, "request")),
			"Find the keys in the log (\"docsgate keys rejections\"), limit their streams, or raise max_in_flight if DocsGPT has free threads.")
	}
	if n := rejected["timeout"]; n > 0 {
		x.note("gate.queue", fmt.Sprintf("DocsGPT is slower than its questions arrive: since the gate has started, %s waited until queue_timeout.",
			number(n, "request")), "Raise max_in_flight if DocsGPT has free threads, or limit the streams of keys.")
	}
	if len(x.input.Gates) > 0 && x.worst("gate.queue") == "" {
		x.ok("gate.queue", "Requests over the limits wait in a queue.")
	}
}
