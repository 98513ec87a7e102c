package upstream

import (
	"fmt"
	"io"
	"testing"
)

// arrivingBody is a body as a server's connection returns it: the beginning with the header, and then as much as fits.
type arrivingBody struct {
	text  []byte
	first int
	reads int
}

func (a *arrivingBody) Read(p []byte) (int, error) {
	if len(a.text) == 0 {
		return 0, io.EOF
	}
	if a.reads++; a.reads == 1 {
		p = p[:min(len(p), a.first)]
	}
	n := copy(p, a.text)
	a.text = a.text[n:]
	if len(a.text) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// BenchmarkReadBody reads bodies whose length is known. Each read is a system call in practice.
func BenchmarkReadBody(b *testing.B) {
	for _, size := range []int{180, 36 << 10, 1100 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			sent := text(size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			reads := 0
			for b.Loop() {
				body := arrivingBody{text: sent, first: 3400}
				buffer, err := ReadBody(&body, int64(size), 4<<20, 512, nil)
				if err != nil {
					b.Fatal(err)
				}
				reads += body.reads
				buffer.Release()
			}
			b.ReportMetric(float64(reads)/float64(b.N), "reads/op")
		})
	}
}
