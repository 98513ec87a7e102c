package commands

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
	"golang.org/x/text/unicode/bidi"
)

// maxCell is the maximum width of a cell, in columns.
const maxCell = 200

// minCell is the minimum width, in columns, to which a wider cell is truncated.
const minCell = 10

// leftToRight is the mark after a right-to-left text that keeps the following text in its place.
const leftToRight = "\u200e"

// widths measures text in terminal columns. Characters of ambiguous East Asian width count as narrow.
var widths = &runewidth.Condition{StrictEmojiNeutral: true}

// sanitize makes untrusted text safe to print on one line of a terminal: control characters, invisible characters and characters
// that change the direction of text are written as <U+202E>.
func sanitize(text string) string {
	var b strings.Builder
	rightToLeft := false
	for i, r := range text {
		switch {
		case r == utf8.RuneError:
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				fmt.Fprintf(&b, "<%02X>", text[i])
				continue
			}
			b.WriteRune(r)
		case r == '\t':
			b.WriteByte(' ')
		case isNonPrinting(r):
			fmt.Fprintf(&b, "<U+%04X>", r)
		default:
			b.WriteRune(r)
			if p, _ := bidi.LookupRune(r); p.Class() == bidi.R || p.Class() == bidi.AL {
				rightToLeft = true
			}
		}
	}
	if rightToLeft {
		b.WriteString(leftToRight)
	}
	return b.String()
}

// sanitizeLines is like sanitize for a text of several lines, such as an error that quotes a response.
func sanitizeLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = sanitize(lines[i])
	}
	return strings.Join(lines, "\n")
}

// isNonPrinting reports whether a character is invisible or controls the display. The zero-width joiners, which scripts and emoji
// need, are not reported.
func isNonPrinting(r rune) bool {
	const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'
	switch {
	case r == zeroWidthNonJoiner || r == zeroWidthJoiner:
		return false
	case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
		return true
	case unicode.Is(unicode.Co, r), r >= 0xFDD0 && r <= 0xFDEF, r&0xFFFE == 0xFFFE:
		return true
	}
	return r == '\u115f' || r == '\u1160' || r == '\u3164' || r == '\uffa0' // Hangul fillers: letters that show as blanks
}

// table is rows of cells below a heading, aligned by their width in terminal columns. Cells are sanitized.
type table struct {
	heading []string
	rows    [][]string
}

// add appends a row of sanitized cells.
func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = sanitize(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// write prints the table. If w is a terminal, no line is wider than it.
func (t *table) write(w io.Writer) error { return t.fit(w, terminalWidth(w)) }

// fit prints the table within width columns; 0 means no limit.
func (t *table) fit(w io.Writer, width int) error {
	const gap = 2
	columns := make([]int, len(t.heading))
	lines := append([][]string{t.heading}, t.rows...)
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
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// jsonLine prints a JSON value on one line. Characters that control a terminal are escaped. They can occur only inside of strings,
// so the value does not change.
func jsonLine(w io.Writer, value []byte) error {
	value = bytes.ReplaceAll(value, []byte("\n"), nil)
	_, err := io.WriteString(w, escaped(value)+"\n")
	return err
}

// escaped returns JSON with characters that control a terminal escaped. Line ends between values stay.
func escaped(value []byte) string {
	var b strings.Builder
	for _, r := range string(value) {
		switch {
		case r == '\n':
			b.WriteRune(r)
		case r == '\r', r == '\t': // unescaped, they occur only between values
			b.WriteByte(' ')
		case isNonPrinting(r):
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
