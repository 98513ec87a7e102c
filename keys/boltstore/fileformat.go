package boltstore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// This file parses bbolt's file format, which has not changed since 2014, with bounds checks on everything. See doc.go for the
// reason.
//
// A page has a header of id, flags, count and overflow (the number of further pages that belong to it), then count elements of
// 16 bytes, then their keys and values. A bucket is a value in the pages of the root: the id of its first page and a sequence.
// If that id is 0, the only page of the bucket is inlined in the value. Numbers are in native byte order.
const (
	pageHeader  = 16
	elementSize = 16
	bucketSize  = 16
	metaSize    = 64 // the last 8 bytes are the FNV-1a checksum of the others

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10

	metaMagic   = 0xED0CDAED
	metaVersion = 2
	noFreelist  = ^uint64(0)

	leafIsBucket = 0x01
	maxDepth     = 32
	maxPageSize  = 1 << 24
)

var byteOrder = binary.NativeEndian

// metaPage is the content of one of the two meta pages.
type metaPage struct {
	pageSize             uint64
	root, freelist, next uint64 // page ids; next is the first page that was never allocated
	txid                 uint64
}

// dbFile is the file during a walk.
type dbFile struct {
	file io.ReaderAt
	metaPage
	seen    []uint64 // bitmap of the visited pages
	buffers [maxDepth][]byte
}

// openImage reads and verifies the meta pages.
func openImage(file io.ReaderAt, size int64) (*dbFile, error) {
	first, err := readMeta(file, 0)
	if err != nil {
		// The page size is unknown. Most machines use one of these.
		for _, at := range []int64{int64(os.Getpagesize()), 4096, 16384, 65536} {
			if _, err2 := readMeta(file, at); err2 == nil {
				return nil, fmt.Errorf("%w: page 0: %w", ErrDamaged, err)
			}
		}
		return nil, err
	}
	second, err := readMeta(file, int64(first.pageSize))
	if err != nil {
		return nil, fmt.Errorf("%w: page 1: %w", ErrDamaged, err)
	}
	m := &dbFile{file: file, metaPage: first}
	if second.txid > first.txid {
		m.metaPage = second
	}
	switch {
	case first.pageSize != second.pageSize:
		return nil, fmt.Errorf("%w: the two meta pages have different page sizes", ErrDamaged)
	case m.next > uint64(size)/m.pageSize:
		return nil, fmt.Errorf("%w: the file is truncated: %d bytes of at least %d", ErrDamaged, size, m.next*m.pageSize)
	}
	m.seen = make([]uint64, m.next/64+1)
	return m, nil
}

func readMeta(file io.ReaderAt, at int64) (m metaPage, err error) {
	var page [pageHeader + metaSize]byte
	if _, err := file.ReadAt(page[:], at); err != nil {
		return m, fmt.Errorf("%w: the file is too short: %w", ErrDamaged, err)
	}
	b := page[pageHeader:]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSize-8])
	switch version := byteOrder.Uint32(b[4:]); {
	case byteOrder.Uint32(b) != metaMagic:
		return m, fmt.Errorf("%w: the file is not a bbolt file, or its beginning is overwritten", ErrDamaged)
	case byteOrder.Uint64(b[metaSize-8:]) != sum.Sum64():
		return m, fmt.Errorf("%w: the checksum of a meta page is wrong", ErrDamaged)
	case version != metaVersion:
		return m, fmt.Errorf("%w: the file has version %d of bbolt's format, not %d", ErrNewer, version, metaVersion)
	}
	m = metaPage{
		pageSize: uint64(byteOrder.Uint32(b[8:])),
		root:     byteOrder.Uint64(b[16:]),
		freelist: byteOrder.Uint64(b[32:]),
		next:     byteOrder.Uint64(b[40:]),
		txid:     byteOrder.Uint64(b[48:]),
	}
	if m.pageSize < 512 || m.pageSize > maxPageSize || m.pageSize&(m.pageSize-1) != 0 {
		return m, fmt.Errorf("%w: invalid page size %d", ErrDamaged, m.pageSize)
	}
	return m, nil
}

// page reads a page and its overflow pages into the buffer of a depth.
func (m *dbFile) page(id uint64, depth int) ([]byte, error) {
	if depth >= maxDepth {
		return nil, fmt.Errorf("%w: page %d is nested too deeply", ErrDamaged, id)
	}
	if id < 2 || id >= m.next {
		return nil, fmt.Errorf("%w: reference to page %d of %d", ErrDamaged, id, m.next)
	}
	if m.buffers[depth] == nil {
		m.buffers[depth] = make([]byte, m.pageSize)
	}
	b := m.buffers[depth][:m.pageSize]
	if _, err := m.file.ReadAt(b, int64(id*m.pageSize)); err != nil {
		return nil, fmt.Errorf("reading page %d: %w", id, err)
	}
	more := uint64(byteOrder.Uint32(b[12:]))
	if byteOrder.Uint64(b) != id || more >= m.next-id {
		return nil, fmt.Errorf("%w: the header of page %d is wrong", ErrDamaged, id)
	}
	for p := id; p <= id+more; p++ {
		if err := m.markVisited(p); err != nil {
			return nil, err
		}
	}
	if more > 0 {
		b = append(b, make([]byte, more*m.pageSize)...)
		m.buffers[depth] = b
		if _, err := m.file.ReadAt(b[m.pageSize:], int64((id+1)*m.pageSize)); err != nil {
			return nil, fmt.Errorf("reading page %d: %w", id+1, err)
		}
	}
	return b, nil
}

// markVisited marks a page as visited, whether in use or free. Each page may be visited only once, so every walk ends.
func (m *dbFile) markVisited(id uint64) error {
	if bit := uint64(1) << (id % 64); m.seen[id/64]&bit == 0 {
		m.seen[id/64] |= bit
		return nil
	}
	return fmt.Errorf("%w: page %d is referenced twice", ErrDamaged, id)
}

// row is a row that a walk has reached. Key and value are valid until the next row.
type row struct {
	key, value []byte
	bucket     bool // the value is a bucket
}

// walk calls visit for each row of the tree with a root page, in order.
func (m *dbFile) walk(id uint64, depth int, visit func(row) error) error {
	w := &walker{dbFile: m, visit: visit}
	return w.tree(id, depth, nil, nil)
}

// walkBucket is like walk, for a bucket's value.
func (m *dbFile) walkBucket(value []byte, visit func(row) error) error {
	if len(value) < bucketSize {
		return fmt.Errorf("%w: a bucket is too short", ErrDamaged)
	}
	if root := byteOrder.Uint64(value); root != 0 {
		return m.walk(root, 0, visit)
	}
	w := &walker{dbFile: m, visit: visit}
	if page := value[bucketSize:]; len(page) < pageHeader || byteOrder.Uint16(page[8:]) != flagLeaf {
		return fmt.Errorf("%w: an inlined bucket has no leaf page", ErrDamaged)
	}
	return w.leaf(0, value[bucketSize:], nil, nil)
}

type walker struct {
	*dbFile
	visit func(row) error
	last  []byte // the previous key
	any   bool
}

// tree walks the tree below a page. Its keys must be at least low and less than high; nil means no bound.
func (w *walker) tree(id uint64, depth int, low, high []byte) error {
	page, err := w.page(id, depth)
	if err != nil {
		return err
	}
	switch byteOrder.Uint16(page[8:]) {
	case flagLeaf:
		return w.leaf(id, page, low, high)
	case flagBranch:
	default:
		return fmt.Errorf("%w: page %d has the wrong type", ErrDamaged, id)
	}
	count := int(byteOrder.Uint16(page[10:]))
	if count == 0 {
		return fmt.Errorf("%w: page %d is empty", ErrDamaged, id)
	}
	key := func(i int) ([]byte, error) {
		e := pageHeader + i*elementSize
		if e+elementSize > len(page) {
			return nil, fmt.Errorf("%w: page %d has too many elements", ErrDamaged, id)
		}
		return pageSlice(id, page, e, byteOrder.Uint32(page[e:]), byteOrder.Uint32(page[e+4:]))
	}
	from, err := key(0)
	for i := 0; i < count && err == nil; i++ {
		to := high
		if i+1 < count {
			if to, err = key(i + 1); err != nil {
				return err
			}
		}
		if !between(from, low, high) || to != nil && bytes.Compare(from, to) >= 0 {
			return fmt.Errorf("%w: page %d is out of order", ErrDamaged, id)
		}
		err = w.tree(byteOrder.Uint64(page[pageHeader+i*elementSize+8:]), depth+1, from, to)
		from = to
	}
	return err
}

func (w *walker) leaf(id uint64, page, low, high []byte) error {
	for i := range int(byteOrder.Uint16(page[10:])) {
		e := pageHeader + i*elementSize
		if e+elementSize > len(page) {
			return fmt.Errorf("%w: page %d has too many elements", ErrDamaged, id)
		}
		flags, at := byteOrder.Uint32(page[e:]), byteOrder.Uint32(page[e+4:])
		keySize, valueSize := byteOrder.Uint32(page[e+8:]), byteOrder.Uint32(page[e+12:])
		key, err := pageSlice(id, page, e, at, keySize)
		if err != nil {
			return err
		}
		value, err := pageSlice(id, page, e+int(keySize), at, valueSize)
		if err != nil {
			return err
		}
		if !between(key, low, high) || w.any && bytes.Compare(w.last, key) >= 0 {
			return fmt.Errorf("%w: page %d is out of order", ErrDamaged, id)
		}
		w.last, w.any = append(w.last[:0], key...), true
		if flags&^leafIsBucket != 0 {
			return fmt.Errorf("%w: page %d has a row of the wrong type", ErrDamaged, id)
		}
		if err := w.visit(row{key, value, flags == leafIsBucket}); err != nil {
			return err
		}
	}
	return nil
}

// pageSlice returns size bytes of a page, starting at an offset from a position in it.
func pageSlice(id uint64, page []byte, from int, offset, size uint32) ([]byte, error) {
	start := uint64(from) + uint64(offset)
	if start+uint64(size) > uint64(len(page)) {
		return nil, fmt.Errorf("%w: page %d refers beyond its end", ErrDamaged, id)
	}
	return page[start : start+uint64(size)], nil
}

func between(key, low, high []byte) bool {
	return (low == nil || bytes.Compare(low, key) <= 0) && (high == nil || bytes.Compare(key, high) < 0)
}

// checkFreelist verifies the freelist, after all other pages were visited.
func (m *dbFile) checkFreelist() error {
	if m.freelist == noFreelist {
		return nil
	}
	page, err := m.page(m.freelist, 0)
	if err != nil {
		return err
	}
	if byteOrder.Uint16(page[8:]) != flagFreelist {
		return fmt.Errorf("%w: page %d has the wrong type", ErrDamaged, m.freelist)
	}
	count, list := uint64(byteOrder.Uint16(page[10:])), page[pageHeader:]
	if count == 0xFFFF && len(list) >= 8 {
		count, list = byteOrder.Uint64(list), list[8:]
	}
	if count > uint64(len(list)/8) {
		return fmt.Errorf("%w: the freelist is too long", ErrDamaged)
	}
	for i := range count {
		id := byteOrder.Uint64(list[i*8:])
		if id < 2 || id >= m.next {
			return fmt.Errorf("%w: invalid page %d of %d in the freelist", ErrDamaged, id, m.next)
		}
		if err := m.markVisited(id); err != nil {
			return err
		}
	}
	return nil
}
