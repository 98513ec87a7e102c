package http1

import "bytes"

// Limits of what is not data in a chunked body, in bytes.
const (
	maxChunkLine = 256     // size and extension
	maxTrailers  = 2 << 10 // all trailers
	maxExcess    = 16 << 10
)

// chunkState is the position in a chunked body, except for the bytes that are left of the current chunk.
type chunkState struct {
	afterData bool // the line end after the data of a chunk is expected
	trailers  int  // bytes of trailers so far, plus one; 0: the last chunk was not read
	excess    int  // bytes that are not data, beyond what a server may send per chunk
}

var crlf = []byte("\r\n")

// takeChunks consumes the chunks that have arrived and returns their data, which it moves together: a server may send many small
// chunks in one packet, and the caller should get them with one call.
func (b *body) takeChunks() ([]byte, error) {
	c := b.conn
	if c.buf == nil {
		return nil, nil
	}
	buf, out, n := c.buf.bytes, c.start, 0
	for !b.ended && c.start < c.end {
		if b.left > 0 {
			m := int(min(b.left, int64(c.end-c.start)))
			if n == 0 {
				out = c.start
			} else {
				copy(buf[out+n:], buf[c.start:c.start+m])
			}
			n += m
			c.start += m
			b.left -= int64(m)
			b.chunks.afterData = b.left == 0
			continue
		}
		used, err := b.takeLine(c.buffered())
		if err != nil && n == 0 {
			return nil, err
		}
		if used == 0 || err != nil { // the error occurs again with the next call
			break
		}
		c.start += used
	}
	return buf[out : out+n], nil
}

// takeLine parses the next line that is not data, and returns its length: 0 if it is not complete.
func (b *body) takeLine(p []byte) (used int, err error) {
	s := &b.chunks
	if s.afterData {
		switch {
		case p[0] != '\r' || len(p) > 1 && p[1] != '\n':
			return 0, malformed("invalid end of a chunk")
		case len(p) == 1:
			return 0, nil
		}
		s.afterData = false
		return len(crlf), nil
	}
	limit := maxChunkLine
	if s.trailers > 0 {
		limit = maxTrailers - s.trailers
	}
	end := bytes.IndexByte(p, '\n')
	switch {
	case end < 0 && len(p) <= limit:
		return 0, nil
	case end < 0 || end > limit:
		return 0, malformed("a line of a chunked body is too long")
	case end == 0 || bytes.IndexByte(p[:end], '\r') != end-1:
		return 0, malformed("invalid end of a line in a chunked body")
	}
	line := p[:end-1]
	if s.trailers > 0 {
		return end + 1, b.takeTrailer(line)
	}
	size, err := parseSize(line)
	if err != nil {
		return 0, err
	}
	// The same rule as in net/http: 16 bytes for each chunk, and twice its data.
	s.excess = max(s.excess+len(line)+2-16-2*int(min(size, maxExcess)), 0)
	if s.excess > maxExcess {
		return 0, malformed("a chunked body has too many bytes that are not data")
	}
	if b.left = size; size == 0 {
		s.trailers = 1
	}
	return end + 1, nil
}

// takeTrailer checks a line after the last chunk. Trailers are dropped. A blank line is the end.
func (b *body) takeTrailer(line []byte) error {
	if len(line) == 0 {
		b.ended = true
		return nil
	}
	b.chunks.trailers += len(line) + 2
	if _, _, ok := parseField(string(line)); !ok {
		return malformed("invalid trailer")
	}
	return nil
}

// parseSize parses the size of a chunk, and skips an extension.
func parseSize(line []byte) (size int64, err error) {
	digits, _, _ := bytes.Cut(line, []byte{';'})
	digits = bytes.TrimRight(digits, " \t")
	if len(digits) == 0 || len(digits) > 15 {
		return 0, malformed("invalid size of a chunk")
	}
	for _, c := range digits {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, malformed("invalid size of a chunk")
		}
		size = size<<4 | int64(c)
	}
	return size, nil
}
