package mongofeed_test

import (
	"net"
	"sync"
	"testing"

	"github.com/docsgate/docsgate/internal/mongotest"
)

// proxy stands between a feed and the tests' server, and breaks connections in the ways networks do.
type proxy struct {
	t    testing.TB
	addr string

	mu       sync.Mutex // guards the following
	listener net.Listener
	conns    map[net.Conn]bool
	hole     chan struct{} // closed: what comes in goes on; open: it goes nowhere
	fell     chan struct{} // holds one value when something has gone nowhere
	left     int           // bytes that still come from the server before the cut; negative: no cut
	onCut    chan struct{} // closed at the cut
	wg       sync.WaitGroup
}

// newProxy starts a proxy that lets everything through.
func newProxy(t testing.TB) *proxy {
	p := &proxy{t: t, conns: map[net.Conn]bool{}, hole: make(chan struct{}), fell: make(chan struct{}, 1), left: -1}
	close(p.hole)
	p.listen("127.0.0.1:0")
	t.Cleanup(func() {
		p.refuse()
		p.fill()
		p.wg.Wait()
	})
	return p
}

// uri is the address of a database behind the proxy.
func (p *proxy) uri(database string) string {
	return "mongodb://" + p.addr + "/" + database
}

func (p *proxy) listen(addr string) {
	p.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		p.t.Fatalf("listening: %v", err)
	}
	p.mu.Lock()
	p.listener, p.addr = l, l.Addr().String()
	p.mu.Unlock()
	p.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(client) })
		}
	})
}

// accept lets everything through again.
func (p *proxy) accept() {
	p.t.Helper()
	p.fill()
	p.mu.Lock()
	p.left = -1
	deaf := p.listener == nil
	p.mu.Unlock()
	if deaf {
		p.listen(p.addr)
	}
}

// refuse cuts all connections and lets nobody connect.
func (p *proxy) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	p.cutAll()
}

// swallow lets every connection stand, and nothing through.
func (p *proxy) swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hole = make(chan struct{})
}

func (p *proxy) swallowed() {
	select {
	case p.fell <- struct{}{}:
	default:
	}
}

// fill ends swallow. What was swallowed was lost with its connection.
func (p *proxy) fill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.hole:
	default:
		p.cutAll()
		close(p.hole)
	}
}

// cutAfter refuses everybody after some more bytes from the server, and closes the channel then.
func (p *proxy) cutAfter(bytes int) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.onCut = bytes, make(chan struct{})
	return p.onCut
}

// cutAll is to be called with mu held.
func (p *proxy) cutAll() {
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, not an orderly end
		}
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *proxy) serve(client net.Conn) {
	server, err := net.Dial("tcp", mongotest.Host())
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	if p.listener == nil {
		p.mu.Unlock()
		_ = client.Close()
		_ = server.Close()
		return
	}
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.copy(server, client, false) })
	both.Go(func() { p.copy(client, server, true) })
	both.Wait()
}

func (p *proxy) copy(to, from net.Conn, counted bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		hole := p.hole
		p.mu.Unlock()
		if n > 0 {
			select {
			case <-hole:
			default:
				p.swallowed()
				<-hole
			}
		}
		n, cut := p.allow(n, counted)
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
		if cut {
			p.refuse()
			return
		}
	}
}

// allow counts bytes from the server, and says when it is time for the cut.
func (p *proxy) allow(n int, counted bool) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !counted || p.left < 0 {
		return n, false
	}
	if n <= p.left {
		p.left -= n
		return n, false
	}
	n, p.left = p.left, -1
	close(p.onCut)
	return n, true
}
