package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// The budgets of a start of the binary with 100,000 keys; that of memory is for key files.
var (
	coldStartBudget = budget{Limit: 1}     // seconds
	coldPeakBudget  = budget{Limit: 150e6} // bytes
)

// maxFileKeys is the number of keys up to which starts with key files are measured. A key file has at most 64 MiB.
const maxFileKeys = 250_000

// coldStarts are the starts of the gate's binary with one kind of feed.
type coldStarts struct {
	Feed   string
	Keys   int
	File   int64 // bytes
	Starts []coldStart
}

// coldStart is the start of one process, to the end of its first answer.
type coldStart struct {
	Time, CPU     float64 // seconds
	Peak, Program float64 // highest resident memory, and that of mapped files at the end, which the system can reclaim; in bytes
}

// measureColdStarts starts the binary with a key file in both formats and with the store of w, in turns, and without keys but one for
// comparison.
func measureColdStarts(ctx context.Context, o *options, w scaleWorkload) (_ []coldStarts, err error) {
	env, err := openEnv(ctx, o)
	if err != nil {
		return nil, err
	}
	defer env.close()
	list := []coldStarts{{Feed: "YAML file", Keys: 1}, {Feed: "store", Keys: w.Keys}}
	feeds := []string{"file " + filepath.Join(env.dir, "one.yaml"), "store " + w.Path}
	tokens := []string{goodToken, w.Token}
	if err := writeManyKeys(filepath.Join(env.dir, "one.yaml"), 1); err != nil {
		return nil, err
	}
	if w.Keys <= maxFileKeys {
		for _, format := range []string{"YAML", "JSON"} {
			path := filepath.Join(env.dir, "many."+strings.ToLower(format))
			if err := writeManyKeys(path, w.Keys); err != nil {
				return nil, err
			}
			list, feeds, tokens = append(list, coldStarts{Feed: format + " file", Keys: w.Keys}), append(feeds, "file "+path), append(tokens, goodToken)
		}
	}
	for n := range o.rounds {
		progress("starts, round %d of %d", n+1, o.rounds)
		for i := range list {
			info, err := os.Stat(feeds[i][strings.IndexByte(feeds[i], ' ')+1:])
			if err != nil {
				return nil, err
			}
			list[i].File = info.Size()
			s, err := env.startCold(ctx, feeds[i], tokens[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", list[i].Feed, err)
			}
			list[i].Starts = append(list[i].Starts, s)
		}
	}
	return list, nil
}

// writeManyKeys writes a key file of n keys that are bound to sources, one of them with goodToken: as JSON if the name ends in ".json".
func writeManyKeys(path string, n int) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := bufio.NewWriter(file)
	begin, format, end := "keys:\n", "  - id: customer-%07d\n    name: Customer %[1]d\n    sha256: %s\n    source: [\"%s\"]\n", ""
	if filepath.Ext(path) == ".json" {
		begin, format, end = "{\"keys\": [", "\n  {\"id\": \"customer-%07d\", \"name\": \"Customer %[1]d\", \"sha256\": \"%s\", \"source\": [\"%s\"]},", "\n]}\n"
	}
	text := begin
	for i := range n {
		token := unusedToken(i)
		if i == n/2 {
			token = goodToken
		}
		if text += fmt.Sprintf(format, i, keys.DigestOf(token).Hex(), fmt.Sprintf("7d0c1f0e-2f4b-4c7a-9a55-%012d", i%1000)); i == n-1 {
			text = strings.TrimSuffix(text, ",") + end
		}
		if _, err := out.WriteString(text); err != nil {
			return err
		}
		text = ""
	}
	return out.Flush()
}

// startCold measures one start. The token is that of a key which is bound to a source.
func (w *env) startCold(ctx context.Context, feed, token string) (s coldStart, err error) {
	p, dir, err := w.configure(ctx, sourceBound, false, func(address, _ string) string {
		return "{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n\tdocsgate {\n\t\tfeed " + feed +
			"\n\t\tdocsgpt_version 1.1.0\n\t\tupstream_token {env.BENCH_AGENT_KEY}\n\t\tupstream_tools none\n\t}\n}\n\n" +
			"http://" + address + " {\n\tdocsgate " + w.backend + "\n}\n"
	})
	if err != nil {
		return s, err
	}
	begin := time.Now()
	p, err = launchUntil(ctx, p, dir, func(ctx context.Context) error { return p.firstAnswer(ctx, token) })
	if err != nil {
		return s, err
	}
	defer p.stop()
	s.Time = time.Since(begin).Seconds()
	if s.CPU, err = p.cpu(); err != nil {
		return s, err
	}
	s.Peak, s.Program, err = p.peakMemory()
	return s, err
}

// firstAnswer connects until the proxy accepts a connection, and asks a question.
func (p *proxy) firstAnswer(ctx context.Context, token string) error {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.address)
	for ; err != nil; conn, err = new(net.Dialer).DialContext(ctx, "tcp", p.address) {
		if pause(ctx, time.Millisecond) != nil {
			return err
		}
	}
	defer conn.Close()
	k := scenario{Path: "/api/answer"}
	if _, err := conn.Write(k.request(p.address, token)); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	expect := k.expect(p.mode)
	return expect.check(resp.StatusCode, text)
}

// peakMemory returns the highest resident memory of the proxy so far, and its current one of mapped files, in bytes.
func (p *proxy) peakMemory() (peak, files float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, fmt.Errorf("reading memory (Linux only): %w", err)
	}
	for name, value := range map[string]*float64{"VmHWM:": &peak, "RssFile:": &files} {
		_, after, found := strings.Cut(string(text), name)
		if _, err := fmt.Sscan(after, value); err != nil || !found {
			return 0, 0, errors.Join(fmt.Errorf("reading memory: no %s", name), err)
		}
		*value *= 1024
	}
	return peak, files, nil
}

func printColdStarts(out io.Writer, list []coldStarts) {
	if len(list) == 0 {
		return
	}
	t := &table{out, newTabs(out)}
	t.row("start of the process to the first answer", "time, median [min max]", "budget", "CPU time", "highest resident memory", "budget", "of it mapped files")
	t.row("---", "---", "---", "---", "---", "---", "---")
	for i := range list {
		c := &list[i]
		of := func(value func(*coldStart) float64) summary {
			all := make([]float64, len(c.Starts))
			for n := range c.Starts {
				all[n] = value(&c.Starts[n])
			}
			return summarize(all)
		}
		time, peak := of(func(s *coldStart) float64 { return s.Time }), of(func(s *coldStart) float64 { return s.Peak })
		peakVerdict := coldPeakBudget.verdict(peak.median)
		if strings.HasPrefix(c.Feed, "store") {
			peakVerdict = "" // a part of its file is among the mapped files
		}
		t.row(fmt.Sprintf("%s of %s, keys: %d", c.Feed, megabytes(float64(c.File)), c.Keys),
			time.text(hundredths), coldStartBudget.verdict(time.median), of(func(s *coldStart) float64 { return s.CPU }).text(hundredths),
			peak.text(megabytes), peakVerdict, megabytes(of(func(s *coldStart) float64 { return s.Program }).median))
	}
	t.end()
}

func hundredths(v float64) string { return fmt.Sprintf("%.2f s", v) }
