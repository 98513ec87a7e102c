package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// The memory has reached its plateau when opening all streams again makes it grow by less than plateauGrowth.
const (
	plateauGrowth = 1.01
	plateauRounds = 12
)

// afterStreams is the time from the end of streams to the next ones. The gate reads an abandoned stream for up to five seconds, to learn the ID
// of its message.
const afterStreams = 6 * time.Second

// plateauReport is the memory of programs with open streams, after those were opened and closed until it grew no more.
type plateauReport struct {
	Streams int
	Idle    map[proxyMode]float64 // bytes before the first stream
	First   map[proxyMode]float64 // bytes when the streams are open for the first time
	Plateau map[proxyMode]float64
	Rounds  map[proxyMode]int
}

// measurePlateaus measures the memory of programs, one after the other, each in a new process.
func (w *env) measurePlateaus(ctx context.Context, list []gateway) (*plateauReport, error) {
	r := &plateauReport{
		Streams: w.options.streams, Idle: map[proxyMode]float64{}, First: map[proxyMode]float64{},
		Plateau: map[proxyMode]float64{}, Rounds: map[proxyMode]int{},
	}
	for i := range list {
		if err := w.measurePlateau(ctx, &list[i], r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (w *env) measurePlateau(ctx context.Context, g *gateway, r *plateauReport) error {
	progress("memory of %s", g.name)
	p, err := w.startGateway(ctx, g)
	if err != nil {
		return err
	}
	defer p.stop()
	if _, err := w.measure(ctx, p, &scenarios[0], 500); err != nil { // to warm up
		return err
	}
	if r.Idle[g.mode], err = p.anonymousMemory(); err != nil {
		return err
	}
	highest := 0.0
	for n := range plateauRounds {
		client, err := w.send(ctx, p, &holdScenario, r.Streams)
		if err != nil {
			return err
		}
		err = pause(ctx, quiesce)
		size, memoryErr := p.anonymousMemory()
		client.stop()
		if err := errors.Join(err, memoryErr, pause(ctx, afterStreams)); err != nil {
			return err
		}
		if n == 0 {
			r.First[g.mode] = size
		}
		r.Rounds[g.mode] = n + 1
		if n > 0 && size < highest*plateauGrowth {
			break
		}
		highest = max(highest, size)
	}
	r.Plateau[g.mode] = highest
	return nil
}

// anonymousMemory returns the resident memory of the processes of a proxy without mapped files, in bytes.
func (p *proxy) anonymousMemory() (float64, error) {
	pids, err := groupOf(p.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, fmt.Errorf("reading memory (Linux only): %w", err)
		}
		_, after, found := strings.Cut(string(text), "RssAnon:")
		var kilobytes float64
		if _, err := fmt.Sscan(after, &kilobytes); err != nil || !found {
			return 0, errors.Join(errors.New("reading memory: no RssAnon"), err)
		}
		sum += kilobytes * 1024
	}
	return sum, nil
}

func (r *plateauReport) print(out io.Writer, list []gateway) {
	t := &table{out, newTabs(out)}
	t.row(fmt.Sprintf("memory with %d open streams", r.Streams), "without streams", "for each stream, first", "at the plateau", "rounds to it", "in total")
	t.row("---", "---", "---", "---", "---", "---")
	for i := range list {
		mode := list[i].mode
		perStream := func(size float64) string { return kilobytes((size - r.Idle[mode]) / float64(r.Streams)) }
		t.row(list[i].name, megabytes(r.Idle[mode]), perStream(r.First[mode]), perStream(r.Plateau[mode]), count(float64(r.Rounds[mode])),
			megabytes(r.Plateau[mode]))
	}
	t.end()
}
