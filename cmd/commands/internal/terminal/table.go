package terminal

import (
	"io"
	"os"
	"strings"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// maxCell is the maximum width of a cell, in columns.
const maxCell = 200

// minCell is the minimum width, in columns, to which a wider cell is truncated.
const minCell = 10

// widths measures text in terminal columns. Characters of ambiguous East Asian width count as narrow.
var widths = &runewidth.Condition{StrictEmojiNeutral: true}

// Table is rows of cells below a heading, aligned by their width in terminal columns. Cells are sanitized.
type Table struct {
	Heading []string
	rows    [][]string
}

// Add appends a row of sanitized cells.
func (t *Table) Add(cells ...string) {
	for i := range cells {
		cells[i] = Sanitize(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// Write prints the table. If w is a terminal, no line is wider than it.
func (t *Table) Write(w io.Writer) error { return t.fit(w, terminalWidth(w)) }

// fit prints the table within width columns; 0 means no limit.
func (t *Table) fit(w io.Writer, width int) error {
	const gap = 2
	columns := make([]int, len(t.Heading))
	lines := append([][]string{t.Heading}, t.rows...)
	for _, line := range lines {
		for i, cell := range line {
			columns[i] = min(maxCell, max(columns[i], widths.StringWidth(cell)))
		}
	}
	total := gap * (len(columns) - 1)
	for _, c := range columns {
		total += c
	}
	// The first column identifies the row, so it is not shrunk. If the others cannot shrink enough, lines are truncated.
	for width > 0 && total > width && len(columns) > 1 {
		widest := 1
		for i, c := range columns[1:] {
			if c > columns[widest] {
				widest = i + 1
			}
		}
		if columns[widest] <= minCell {
			break
		}
		columns[widest]--
		total--
	}
	var b strings.Builder
	for _, line := range lines {
		var row strings.Builder
		for i, cell := range line {
			cell = truncate(cell, columns[i])
			row.WriteString(cell)
			if i < len(line)-1 {
				row.WriteString(strings.Repeat(" ", columns[i]-widths.StringWidth(cell)+gap))
			}
		}
		text := strings.TrimRight(row.String(), " ")
		if width > 0 {
			text = truncate(text, width)
		}
		b.WriteString(text + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// truncate shortens a cell to a width in columns.
func truncate(cell string, width int) string {
	if widths.StringWidth(cell) <= width {
		return cell
	}
	short := widths.Truncate(cell, width, "…")
	if strings.HasSuffix(cell, leftToRight) {
		short += leftToRight
	}
	return short
}

// terminalWidth returns the number of columns of a terminal, or 0 if w is not a terminal.
func terminalWidth(w io.Writer) int {
	if !IsTerminal(w) {
		return 0
	}
	width, _, err := term.GetSize(int(w.(*os.File).Fd()))
	if err != nil {
		return 0
	}
	return width
}

// IsTerminal reports whether a stream is a terminal.
func IsTerminal(stream any) bool {
	f, isFile := stream.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd()))
}
