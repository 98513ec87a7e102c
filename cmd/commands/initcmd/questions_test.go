package initcmd

import (
	"bufio"
	"context"
	"slices"
	"strings"
	"testing"
)

// answers returns questions that get these lines.
func answers(ctx context.Context, out *strings.Builder, lines ...string) *questions {
	return &questions{ctx: ctx, in: bufio.NewReader(strings.NewReader(strings.Join(lines, "\n") + "\n")), out: out}
}

func TestQuestions(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		flags options
		site  string
		feeds []string
		asked int
	}{
		"defaults":       {lines: []string{"", "", ""}, site: "http://:80", feeds: []string{feedDocsGPT, feedStore}, asked: 3},
		"other values":   {lines: []string{"ADDRESS", "ask.example.com", "2"}, site: "ask.example.com", feeds: []string{feedStore}, asked: 3},
		"invalid values": {lines: []string{"x y", "", "a/b", "ask.example.com", "4", "docsgpt"}, site: "ask.example.com", feeds: []string{feedDocsGPT}, asked: 6},
		"flags":          {flags: options{site: "ask.example.com", feeds: []string{feedStore}}, lines: []string{""}, site: "ask.example.com", feeds: []string{feedStore}, asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.settings(e.database())
			for i, line := range c.lines {
				c.lines[i] = strings.Replace(line, "ADDRESS", e.address, 1)
			}
			o := c.flags
			o.docsgptDirs = []string{e.docsgpt}
			var asked, log strings.Builder
			got, err := o.plan(t.Context(), answers(t.Context(), &asked, c.lines...), &log)
			if err != nil {
				t.Fatalf("%v\n%s", err, asked.String())
			}
			if got.upstream != e.address || !strings.HasPrefix(got.site.text, c.site) || !slices.Equal(got.feeds, c.feeds) {
				t.Errorf("got %+v", got)
			}
			if n := strings.Count(asked.String(), "]: "); n != c.asked {
				t.Errorf("%d questions: %s", n, asked.String())
			}
			if strings.Contains(asked.String()+log.String(), dbPassword) {
				t.Errorf("the password is printed: %s%s", asked.String(), log.String())
			}
		})
	}
}

func TestQuestionsEnd(t *testing.T) {
	e := newEnv(t)
	e.settings("postgresql:///d")
	o := options{docsgptDirs: []string{e.docsgpt}}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for says, ask := range map[string]*questions{
		"the input ended":         {ctx: t.Context(), in: bufio.NewReader(strings.NewReader("")), out: &e.log},
		"too many invalid values": answers(t.Context(), &e.log, "", "a b", "a b", "a b", "a b", "a b", "a b"),
	} {
		if _, err := o.plan(t.Context(), ask, &e.log); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want %q", err, says)
		}
	}
	blocked := &questions{ctx: canceled, in: bufio.NewReader(blockedReader{t.Context()}), out: &e.log}
	if _, err := blocked.readLine(); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error %v", err)
	}
}

// blockedReader is a terminal at which nothing is typed.
type blockedReader struct{ ctx context.Context }

func (r blockedReader) Read([]byte) (int, error) {
	<-r.ctx.Done()
	return 0, r.ctx.Err()
}
