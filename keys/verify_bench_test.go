package keys

import (
	"fmt"
	"runtime"
	"testing"
)

func BenchmarkVerify(b *testing.B) {
	const n = 10000
	set := sourceKeys(n)
	store := readyStore(b, set...)
	tokens := make([]string, n)
	for i := range set {
		tokens[i] = tokenOf(set[i].ID)
	}
	unknown := make([]string, 1<<16)
	for i := range unknown {
		unknown[i] = fmt.Sprintf("dgk_unknown-%d", i)
	}

	run := func(name string, want Reason, prepare func(*Verifier), token func(i int) string) {
		b.Run(name, func(b *testing.B) {
			v := newVerifier(b, store, CacheConfig{})
			prepare(v)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if d := v.Verify(token(i), noon); d.Reason != want {
					b.Fatalf("decision %q, want %q", d.Reason, want)
				}
			}
		})
	}
	warm := func(token string) func(*Verifier) {
		return func(v *Verifier) {
			v.Verify(token, noon)
			v.Verify(token, noon) // an unknown token is cached when it is seen again
			v.settle()
		}
	}
	run("hit", Allowed, warm(tokens[0]), func(int) string { return tokens[0] })
	run("hit of 1000 keys", Allowed, func(v *Verifier) {
		for _, token := range tokens[:1000] {
			v.Verify(token, noon)
		}
		v.settle()
	}, func(i int) string { return tokens[i%1000] })
	run("store only", Allowed, (*Verifier).Close, func(i int) string { return tokens[i%n] })
	run("same unknown", UnknownToken, warm(unknown[0]), func(int) string { return unknown[0] })
	run("unknown", UnknownToken, func(*Verifier) {}, func(i int) string { return unknown[i%len(unknown)] })
	run("unknown, store only", UnknownToken, (*Verifier).Close, func(i int) string { return unknown[i%len(unknown)] })
	run("malformed", Malformed, func(*Verifier) {}, func(int) string { return "not a token" })

	b.Run("hit, in parallel", func(b *testing.B) {
		v := newVerifier(b, store, CacheConfig{})
		warm(tokens[0])(v)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if !v.Verify(tokens[0], noon).Allowed() {
					b.Error("rejected")
				}
			}
		})
	})
}

func BenchmarkDigestOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		DigestOf("dgk_0123456789abcdefghijklmnopqrstuvwxyz")
	}
}

// BenchmarkReplace measures a change of one key in a large feed, which compares all keys.
func BenchmarkReplace(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n, " keys"), func(b *testing.B) {
			set := sourceKeys(n)
			store := readyStore(b, set...)
			for i := 0; b.Loop(); i++ {
				set[0].Name = fmt.Sprint("Key ", i)
				mustReplace(b, store, "test", set...)
			}
		})
	}
}

// BenchmarkFill measures the first load of a large feed.
func BenchmarkFill(b *testing.B) {
	set := sourceKeys(1_000_000)
	for b.Loop() {
		readyStore(b, set...)
	}
}

// BenchmarkMemory measures the memory per key, including its strings.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1000, 100000, 1000000} {
		b.Run(fmt.Sprint(n, " keys"), func(b *testing.B) {
			for b.Loop() {
				before := heap()
				store := filled(b, n)
				b.ReportMetric(float64(heap()-before)/float64(n), "B/key")
				runtime.KeepAlive(store)
			}
		})
	}
}

// filled returns a store with n keys. The original set is unreachable.
func filled(tb testing.TB, n int) *Store {
	tb.Helper()
	set := make([]Key, n)
	for i := range set {
		set[i] = sourceKey(fmt.Sprintf("key-%07d", i))
		set[i].Binding.Sources[0] = fmt.Sprintf("%08x-6a0e-4a5e-9a39-0d2f5f9e7f11", i) // a separate string
	}
	return readyStore(tb, set...)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
