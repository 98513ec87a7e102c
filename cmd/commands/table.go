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

// maxCell is the widest that a cell gets, in columns, where there is no terminal that says.
const maxCell = 200

// minCell is the narrowest that a cell gets, if its content is wider.
const minCell = 10

// leftToRight ends a text that runs from right to left, so that what stands behind it stays in its place.
const leftToRight = "\u200e"

// widths measures text as terminals show it. What East Asian terminals show wide or narrow counts as narrow.
var widths = &runewidth.Condition{StrictEmojiNeutral: true}

// sanitize returns text of others in a form that shows on one line of a terminal and changes nothing else there: control
// characters, and such as change the direction of what follows or show as nothing, are written as <U+202E>.
func sanitize(text string) string {
	var b strings.Builder
	back := false
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
				back = true
			}
		}
	}
	if back {
		b.WriteString(leftToRight)
	}
	return b.String()
}

// visibleLines is visible for a text of several lines, such as an error that repeats some of an answer.
func visibleLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = sanitize(lines[i])
	}
	return strings.Join(lines, "\n")
}

// isNonPrinting tells characters that are no text to look at. The joiners of scripts and emoji are.
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
	return r == '\u115f' || r == '\u1160' || r == '\u3164' || r == '\uffa0' // letters that are blank
}

// table is rows of cells below a heading, aligned by the width that terminals show. Cells are safe to print.
type table struct {
	heading []string
	rows    [][]string
}

// add appends a row; text of others is made visible.
func (t *table) add(cells ...string) {
	for i := range cells {
		cells[i] = sanitize(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// write prints the table. Where w is a terminal no line is wider than that.
func (t *table) write(w io.Writer) error { return t.fit(w, terminalWidth(w)) }

// fit prints the table within so many columns; 0: as wide as it is.
func (t *table) fit(w io.Writer, room int) error {
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
	// The first column is what rows are named by, so it stays whole; what does not fit then is cut at the right.
	for room > 0 && total > room && len(columns) > 1 {
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
		if room > 0 {
			text = truncate(text, room)
		}
		b.WriteString(text + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// truncate shortens a cell to a width.
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

// terminalWidth is how many columns a terminal has; 0: w is none.
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

// jsonLine prints a JSON value on one line. Characters that would act on a terminal are escaped; inside of strings, the
// only place where they can stand, that changes nothing.
func jsonLine(w io.Writer, value []byte) error {
	value = bytes.ReplaceAll(value, []byte("\n"), nil)
	_, err := io.WriteString(w, escaped(value)+"\n")
	return err
}

// escaped returns JSON in which characters that would act on a terminal are escaped; but not ends of lines between values.
func escaped(value []byte) string {
	var b strings.Builder
	for _, r := range string(value) {
		switch {
		case r == '\n':
			b.WriteRune(r)
		case r == '\r', r == '\t': // raw they stand between values only
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
