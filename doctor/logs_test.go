package doctor

import "testing"

// Without log files the configuration of the running gate decides, if the doctor knows it.
func TestLeakWithoutFiles(t *testing.T) {
	for name, c := range map[string]struct {
		redacted bool
		running  Running
		want     Severity
	}{
		"the encoder":                 {true, RunningThis, OK},
		"another encoder":             {false, RunningThis, Unknown},
		"another configuration runs":  {true, RunningOther, Unknown},
		"which one runs is not known": {true, RunningUnknown, Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			x := &runner{
				input:   Input{Config: "Caddyfile", Running: c.running, Logs: []Log{{Name: "default", Redacted: c.redacted}}},
				outside: newTarget("http://127.0.0.1:1", nil),
			}
			x.checkLogs(t.Context())
			if got := x.worst("log.leak"); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
