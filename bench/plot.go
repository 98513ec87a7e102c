package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// plotPanel is a diagram. Its fields are those that tools/benchplot reads.
type plotPanel struct {
	X, Y  string // labels of the axes
	Lines []plotLine
}

// plotLine is a line of a diagram.
type plotLine struct {
	Name   string
	Points [][2]float64
}

// plot draws diagrams below each other, as SVG. The library is a dependency of the module tools, and not of the gate.
func (w *env) plot(ctx context.Context, path string, panels []plotPanel) error {
	text, err := json.Marshal(panels)
	if err != nil {
		return err
	}
	root, err := projectFolder(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "run", "./benchplot")
	cmd.Dir, cmd.Stdin, cmd.Env = filepath.Join(root, "tools"), bytes.NewReader(text), append(os.Environ(), "GOFLAGS=-mod=readonly")
	var svg, errText bytes.Buffer
	cmd.Stdout, cmd.Stderr = &svg, &errText
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("drawing %s: %w\n%s", filepath.Base(path), err, errText.Bytes())
	}
	progress("plot: %s", path)
	return os.WriteFile(path, svg.Bytes(), 0o644)
}
