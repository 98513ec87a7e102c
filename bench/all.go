package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// runAll compares all programs that this machine has, saturated and at a fixed rate, and appends the tables to RESULTS.md.
func (w *env) runAll(ctx context.Context, out io.Writer) error {
	list := slices.DeleteFunc(slices.Clone(w.options.gateways), func(g gateway) bool {
		err := g.available()
		if err != nil {
			progress("without %s: %v", g.name, err)
		}
		return err != nil
	})
	var section bytes.Buffer
	both := io.MultiWriter(out, &section)
	running, stop, err := w.startGateways(ctx, list)
	if err != nil {
		return err
	}
	defer stop()
	load, err := w.compareSaturated(ctx, list, running)
	if err != nil {
		return err
	}
	load.printGateways(both, list)
	rates, err := w.runRates(ctx, list, running)
	if err != nil {
		return err
	}
	rates.print(both, list)
	stop()
	memory, memoryErr := w.measurePlateaus(ctx, relaying(list)) // an error does not lose the other results
	if memoryErr == nil {
		memory.print(both, relaying(list))
	}
	if err := saveJSON(map[string]any{"Saturated": load, "Rate": rates, "Memory": memory}, w.options.out, "all.json"); err != nil {
		return err
	}
	root, err := projectFolder(ctx)
	if err != nil {
		return err
	}
	var panels []plotPanel
	for i := range rates.Limits {
		panels = append(panels, rates.Limits[i].panel(list))
	}
	if err := w.plot(ctx, filepath.Join(root, "bench", "rates.svg"), panels); err != nil {
		return err
	}
	return errors.Join(appendResults(ctx, root, load, w.options, section.String()), memoryErr)
}

// available returns an error if a program is missing.
func (g *gateway) available() error {
	for _, program := range g.programs {
		name, _, _ := strings.Cut(program, " ")
		if _, err := findProgram(name); err != nil {
			return fmt.Errorf("%s is missing: %w", program, err)
		}
	}
	for _, file := range g.files {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("a part of %s is missing: %w", strings.Join(g.programs, ", "), err)
		}
	}
	return nil
}

// appendResults appends a section with the commit, the date and the machine to bench/RESULTS.md.
func appendResults(ctx context.Context, root string, r *report, o *options, tables string) error {
	commit, err := exec.CommandContext(ctx, "git", "-C", root, "describe", "--always", "--exclude=*", "--dirty").Output()
	if err != nil {
		return fmt.Errorf("finding the commit: %w", err)
	}
	load, _ := os.ReadFile("/proc/loadavg") // missing on other systems
	average, _, _ := strings.Cut(string(load), " ")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	path := filepath.Join(root, "bench", "RESULTS.md")
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = fmt.Fprintf(file, "\n## %s, commit %s\n\n%d CPUs (%s), Linux %s, %s, load average %s; %d rounds, scale %g.\n%s",
		r.Time.Format("2006-01-02"), bytes.TrimSpace(commit), r.CPUs, r.CPU, bytes.TrimSpace(kernel), r.Go, average, o.rounds, o.scale,
		strings.TrimRight(tables, "\n")+"\n")
	progress("results: %s", path)
	return err
}
