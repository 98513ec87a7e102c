package docsgpt

import (
	"fmt"
	"strings"
	"testing"
)

// The feedback that published widgets send: up to 0.4 without identifying the answer.
const (
	feedback04 = `{"question":"q","answer":"a","feedback":"LIKE","api_key":"k"}`
	feedback05 = `{"question":"q","answer":"a","feedback":"LIKE","api_key":"k","conversation_id":"c","question_index":0}`
	feedbackNo = `{"question":"q","answer":"a","feedback":null,"api_key":"k","conversation_id":"c","question_index":0}`
)

// The handling of feedback in each version: "sent" means that DocsGPT can process it. Everything else is an error response
// of the gate, after which a widget only resets its thumb icon.
func TestFeedbackOfEachVersion(t *testing.T) {
	const (
		sent   = "sent"
		nobody = "only from users who are signed in"
		agents = "bound to an agent"
		which  = "requires conversation_id and question_index"
	)
	type outcome struct{ old, current, source string }
	open := outcome{sent, sent, sent}
	none := outcome{nobody, nobody, nobody}
	keyed := outcome{which, sent, agents}
	want := map[string]outcome{
		"0.8": open, "0.9": open, "0.10": open, "0.11": open, "0.12": open,
		"0.13": none, "0.14": none, "0.15": none, "0.16": none, "0.17": none, "0.18": none, "0.19": none,
		"0.20": keyed, "0.21": keyed, "1.0": keyed, "1.1": keyed,
	}
	try := func(e *Endpoint, source bool, body string) string {
		if works := e.Agents && !source || e.Sources && source; !works {
			return e.UnsupportedMessage
		}
		var b Body
		if err := b.Parse(e, []byte(body)); err != nil {
			return err.Error()
		}
		if err := b.Check(e); err != nil {
			return err.Error()
		}
		return sent
	}
	if len(want) != len(VersionNames()) {
		t.Errorf("%d of %d versions are covered", len(want), len(VersionNames()))
	}
	for name, w := range want {
		t.Run(name, func(t *testing.T) {
			e := endpoint(t, name, "feedback")
			for what, c := range map[string]struct{ got, want string }{
				"widget 0.4, agent":  {try(e, false, feedback04), w.old},
				"widget 0.5, agent":  {try(e, false, feedback05), w.current},
				"taken back, agent":  {try(e, false, feedbackNo), w.current},
				"widget 0.5, source": {try(e, true, feedback05), w.source},
			} {
				if !strings.Contains(c.got, c.want) {
					t.Errorf("%s: got %q, want %q", what, c.got, c.want)
				}
			}
			// An invalid rating is rejected, and no version forwards more than the rating.
			if got := try(e, false, strings.Replace(feedback05, "LIKE", "EVIL", 1)); got == sent {
				t.Error("a rating that is none is sent")
			}
			for _, index := range []string{`"0.x"`, "-1", "1.5", "null"} {
				body := strings.Replace(feedback05, `"question_index":0`, `"question_index":`+index, 1)
				if got := try(e, false, body); got == sent && w != open {
					t.Errorf("question_index %s is sent", index)
				}
			}
		})
	}
}

func TestVersionsAreOrderedAndDistinct(t *testing.T) {
	seen := map[string]bool{}
	for i := range versions {
		v := &versions[i]
		if seen[v.Name] {
			t.Errorf("%s is specified twice", v.Name)
		}
		seen[v.Name] = true
		if i > 0 && order(t, v.Name) <= order(t, versions[i-1].Name) {
			t.Errorf("%s comes after %s", v.Name, versions[i-1].Name)
		}
		if v.Fingerprint == (Fingerprint{}) && i == 0 {
			t.Error("nothing tells the oldest version from what is no DocsGPT")
		}
		if v.Dialect.Numbered && !v.Dialect.Typed || v.Dialect.Keepalives && !v.Dialect.Numbered {
			t.Errorf("%s: no version has such a dialect: %+v", v.Name, v.Dialect)
		}
	}
	if versions[len(versions)-1].Name != Default {
		t.Errorf("the default is %s, and the newest version %s", Default, versions[len(versions)-1].Name)
	}
}

// order returns a version's position by its number.
func order(t *testing.T, name string) int {
	t.Helper()
	var major, minor int
	if _, err := fmt.Sscanf(name, "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major*1000 + minor
}
