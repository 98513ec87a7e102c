package commands

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A gate that is started by mistake exits with an error that names the address. The first gate serves every request meanwhile.
func TestSecondGateIsRejected(t *testing.T) {
	b := newTestbed(t)
	port, wildcard, admin := b.port(), b.port(), b.port()
	socket := filepath.Join(b.dir, "s")
	first := b.caddyfile("first", "127.0.0.1:"+admin, "http://127.0.0.1:"+port, "bind 127.0.0.1", "")
	b.write("first", readFile(t, first)+"\nhttp://:"+wildcard+" {\n\trespond first\n}\nhttp://x.test {\n\tbind unix/"+socket+"\n\trespond first\n}\n")
	process := b.start(b.command(t.Context(), "run", "--config", first, "--adapter", "caddyfile"))
	load := startTraffic(t, 2, dialer("tcp", "127.0.0.1:"+port))
	load.waitCount(t, "first", 0)

	for name, c := range map[string]struct{ admin, site, bind, want string }{
		"admin endpoint": {"127.0.0.1:" + admin, "http://:" + b.port(), "", "listens on 127.0.0.1:" + admin},
		"site":           {"off", "http://:" + port, "bind 127.0.0.1", "listens on 127.0.0.1:" + port},
		"wildcard":       {"off", "http://:" + port, "", "listens on :" + port},
		"IPv4 wildcard":  {"off", "http://:" + wildcard, "bind 0.0.0.0", "listens on 0.0.0.0:" + wildcard},
		"one address":    {"off", "http://:" + wildcard, "bind 127.0.0.1", "listens on 127.0.0.1:" + wildcard},
		"unix socket":    {"off", "http://y.test", "bind unix/" + socket, "listens on unix/" + socket},
	} {
		t.Run(name, func(t *testing.T) {
			config := b.caddyfile("second", c.admin, c.site, c.bind, "")
			for range 3 { // Caddy starts apps in random order
				out, err := b.command(t.Context(), "run", "--config", config, "--adapter", "caddyfile").CombinedOutput()
				if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), c.want) ||
					!strings.Contains(string(out), "specify shared_port in the docsgate options") {
					t.Fatalf("%v\n%s", err, out)
				}
				if name != "unix socket" && !strings.Contains(string(out), ", PID ") {
					t.Errorf("the process is not named:\n%s", out)
				}
			}
			if out, err := b.command(t.Context(), "validate", "--config", config, "--adapter", "caddyfile").CombinedOutput(); err != nil {
				t.Errorf("the configuration is not valid: %v\n%s", err, out)
			}
		})
	}
	if _, err := os.Stat(socket); err != nil {
		t.Error(err)
	}
	load.waitCount(t, "first", load.count("first"))
	load.stop()
	if len(load.failed) > 0 {
		t.Errorf("%d of %d requests fail, the first: %v\n%s", len(load.failed), load.count("first"), load.failed[0], process.log)
	}
	if out, err := b.command(t.Context(), "reload", "--config", first, "--adapter", "caddyfile", "--address", "127.0.0.1:"+admin,
		"--force").CombinedOutput(); err != nil {
		t.Errorf("the first gate cannot be reloaded: %v\n%s", err, out)
	}

	// A restart on the addresses, with connections in TIME_WAIT.
	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-process.exited; err != nil {
		t.Fatalf("%v\n%s", err, process.log)
	}
	b.start(b.command(t.Context(), "run", "--config", first, "--adapter", "caddyfile"))
}

// A Caddy without a gate that is started later is not rejected. The doctor finds it.
func TestDoctorFindsSharedAddresses(t *testing.T) {
	b := newTestbed(t)
	port, admin := b.port(), "127.0.0.1:"+b.port()
	first := b.caddyfile("first", admin, "http://127.0.0.1:"+port, "bind 127.0.0.1", "")
	gate := b.start(b.command(t.Context(), "run", "--config", first, "--adapter", "caddyfile"))
	shared := func() (summaries []string) {
		t.Helper()
		out, err := b.command(t.Context(), "doctor", "--config", first, "--adapter", "caddyfile", "--json").Output()
		if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != 1) {
			t.Fatalf("%v\n%s", err, out)
		}
		var report struct {
			Findings []struct{ ID, Severity, Summary string }
		}
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, f := range report.Findings {
			if f.ID == "config.shared_address" && f.Severity == "failure" {
				summaries = append(summaries, f.Summary)
			}
		}
		return summaries
	}
	if found := shared(); found != nil {
		t.Errorf("one process: %q", found)
	}
	plain := b.write("plain", "{\n\tadmin "+admin+"\n\tpersist_config off\n}\nhttp://127.0.0.1:"+port+" {\n\tbind 127.0.0.1\n\trespond plain\n}\n")
	other := b.start(b.command(t.Context(), "run", "--config", plain, "--adapter", "caddyfile"))
	found := shared()
	if len(found) != 2 || !strings.Contains(found[0], admin) || !strings.Contains(found[0], "docsgate reload") ||
		!strings.Contains(found[1], "127.0.0.1:"+port) || !strings.Contains(found[1], "so clients reach either") {
		t.Fatalf("%q", found)
	}
	for _, p := range []*process{gate, other} {
		if pid := ", PID " + strconv.Itoa(p.Process.Pid); !strings.Contains(found[0], pid) || !strings.Contains(found[1], pid) {
			t.Errorf("%q does not contain %q", found, pid)
		}
	}
}

// With shared_port both processes serve, also after a reload of either.
func TestSharedPort(t *testing.T) {
	b := newTestbed(t)
	port := b.port()
	var processes []*process
	var configs, admins []string
	for _, name := range []string{"first", "second"} {
		admins = append(admins, "127.0.0.1:"+b.port())
		configs = append(configs, b.caddyfile(name, admins[len(admins)-1], "http://127.0.0.1:"+port, "bind 127.0.0.1", "shared_port"))
		processes = append(processes, b.start(b.command(t.Context(), "run", "--config", configs[len(configs)-1], "--adapter", "caddyfile")))
	}
	load := startTraffic(t, 2, dialer("tcp", "127.0.0.1:"+port))
	load.waitCount(t, "first", 0)
	load.waitCount(t, "second", 0)
	for i, admin := range admins {
		if out, err := b.command(t.Context(), "reload", "--config", configs[i], "--adapter", "caddyfile", "--address", admin,
			"--force").CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	load.waitCount(t, "first", load.count("first"))
	load.waitCount(t, "second", load.count("second"))
	load.stop()
	for _, p := range processes {
		if strings.Contains(p.log.String(), "shares its address") {
			t.Errorf("a warning of the admin endpoint:\n%s", p.log)
		}
	}
	cmd := b.command(t.Context(), "run", "--config", b.caddyfile("third", admins[0], "http://127.0.0.1:"+port, "bind 127.0.0.1", "shared_port"),
		"--adapter", "caddyfile")
	if p := b.start(cmd); !strings.Contains(p.log.String(), "the admin endpoint shares its address with another process") {
		t.Errorf("no warning of the admin endpoint:\n%s", p.log)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
