package keyindex

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/usage"
)

// million returns a million keys in random order, each with unique texts.
var million = sync.OnceValue(func() []*keys.Key {
	r := rand.New(rand.NewPCG(1, 5))
	all := make([]*keys.Key, 1_000_000)
	for i := range all {
		all[i] = &keys.Key{
			ID: fmt.Sprintf("key_01hzy3v7%018x", r.Uint64()), Name: fmt.Sprintf("Customer %06d", i), Hint: fmt.Sprintf("%04x", r.IntN(1<<16)),
			Binding: keys.Binding{Sources: []string{fmt.Sprintf("%08x-6a0e-4a5e-9a39-%012x", r.Uint32(), r.Uint64N(1<<48))}},
			Created: noon.Add(-time.Duration(r.Int64N(int64(1e6 * time.Second)))), State: keys.State(i % 4), Feed: "store:keys.db",
		}
		if i%3 == 0 {
			all[i].Expires = noon.Add(time.Duration(r.IntN(1e9)-5e8) * time.Microsecond)
		}
	}
	return all
})

// BenchmarkPage lists and searches among a million keys. The slowest searches are called "worst": texts that have a prefix in
// common with every key.
func BenchmarkPage(b *testing.B) {
	all := million()
	c := newCatalog(all...)
	meter := usage.NewMeter()
	for i, k := range all {
		meter.Count(k.ID, false, noon.Add(-time.Duration(i%100_000)*time.Minute))
	}
	lastUsed := meter.LastUsed
	for name, q := range map[string]Query{
		"all":                  {},
		"late page":            {After: positionOf(all[500_000]).cursor()},
		"by state":             {State: keys.Expired},
		"by feed":              {Feed: "store:keys.db"},
		"by source":            {Source: all[5].Binding.Sources[0]},
		"by no source":         {Source: "none"},
		"one name":             {Text: "customer 777777"},
		"every name":           {Text: "CUSTOMER"},
		"one letter":           {Text: "e"},
		"nothing":              {Text: "not in any key"},
		"two letters":          {Text: "zz"},
		"two letters of many":  {Text: "e1"},
		"worst, id":            {Text: "key_01hzy3v7z"},
		"worst, source":        {Text: "-6a0e-4a5e-9a39-x"},
		"worst, long":          {Text: "6a0e-4a5e-9a39-" + strings.Repeat("0", 100)},
		"name, state and feed": {Text: "7", State: keys.Allowed, Feed: "store:keys.db"},
		"name, state, late":    {Text: "customer", State: keys.NotYetValid, After: positionOf(all[500_000]).cursor()},
		"name and source":      {Text: "customer", Source: all[5].Binding.Sources[0]},
		"oldest":               {Reverse: true},
		"by name":              {Sort: ByName},
		"by name, reverse":     {Sort: ByName, Reverse: true},
		"by name, of many":     {Sort: ByName, Text: "e1"},
		"by expiry":            {Sort: ByExpires},
		"by expiry, reverse":   {Sort: ByExpires, Reverse: true},
		"by last use":          {Sort: ByLastUsed, LastUsed: lastUsed},
		"by last use, reverse": {Sort: ByLastUsed, LastUsed: lastUsed, Reverse: true},
	} {
		q.Now = noon
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				mustPage(b, c, q)
			}
		})
	}
}

// BenchmarkKeysChanged measures a change of one key among a million.
func BenchmarkKeysChanged(b *testing.B) {
	all := million()
	c := newCatalog(all...)
	old := all[1234]
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		k := *old
		k.Name = fmt.Sprint("Customer ", i)
		c.KeysChanged([]*keys.Key{old}, []*keys.Key{&k})
		old = &k
	}
}

// BenchmarkFill measures the start with a million keys, and the memory per key.
func BenchmarkFill(b *testing.B) {
	all := million()
	for b.Loop() {
		b.StopTimer()
		before := heapSize()
		b.StartTimer()
		c := newCatalog(all...)
		b.StopTimer()
		b.ReportMetric(float64(heapSize()-before)/float64(len(all)), "B/key")
		runtime.KeepAlive(c)
		b.StartTimer()
	}
}

func heapSize() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
