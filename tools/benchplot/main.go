// Command benchplot draws the diagrams of bench. It reads them as JSON from its standard input and writes SVG to its output.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// panel is a diagram.
type panel struct {
	X, Y  string
	Lines []struct {
		Name   string
		Points [][2]float64
	}
}

const width, height = 16 * vg.Centimeter, 6 * vg.Centimeter // of a panel

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchplot:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var panels []panel
	if err := json.NewDecoder(in).Decode(&panels); err != nil {
		return err
	}
	canvas := vgsvg.New(width, height*vg.Length(len(panels)))
	for i := range panels {
		p, err := panels[i].plot()
		if err != nil {
			return err
		}
		bottom := height * vg.Length(len(panels)-1-i)
		p.Draw(draw.Canvas{Canvas: canvas, Rectangle: vg.Rectangle{Min: vg.Point{Y: bottom}, Max: vg.Point{X: width, Y: bottom + height}}})
	}
	_, err := canvas.WriteTo(out)
	return err
}

func (d *panel) plot() (*plot.Plot, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = d.X, d.Y
	p.Y.Min = 0
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	for i, l := range d.Lines {
		points := make(plotter.XYs, len(l.Points))
		for j, at := range l.Points {
			points[j] = plotter.XY{X: at[0], Y: at[1]}
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.Name, err)
		}
		line.Color = plotutil.Color(i)
		p.Add(line)
		p.Legend.Add(l.Name, line)
	}
	return p, nil
}
