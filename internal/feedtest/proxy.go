package feedtest

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy stands between a feed and the tests' server, and breaks connections in the ways networks do. It is safe for concurrent
// use. Make one with NewProxy.
type Proxy struct {
	t  testing.TB
	to string

	mu       sync.Mutex // guards the following
	addr     string
	listener net.Listener
	conns    map[net.Conn]bool
	hole     chan struct{} // closed: what comes in goes on; open: it goes nowhere
	fell     chan struct{} // holds one value when something has gone nowhere
	left     int           // bytes that still come from the server before the cut; negative: no cut
	onCut    chan struct{} // closed at the cut
	wg       sync.WaitGroup
}

// NewProxy starts a proxy before a server that lets everything through. It ends with the test.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, to: to, conns: map[net.Conn]bool{}, hole: make(chan struct{}), fell: make(chan struct{}, 1), left: -1}
	close(p.hole)
	p.listen(ownAddress())
	t.Cleanup(p.Close)
	return p
}

var proxies atomic.Int32

// ownAddress is where a proxy listens: where a system has more than one loopback address, one that no other proxy has. So
// nobody takes its port while it refuses connections.
func ownAddress() string {
	pid := os.Getpid()
	host := net.IPv4(127, byte(1+pid>>8&0x7f), byte(pid), byte(1+proxies.Add(1)%254)).String()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", host+":0")
	if err != nil {
		return "127.0.0.1:0"
	}
	_ = l.Close()
	return host + ":0"
}

// Addr is where the proxy listens: a host and a port on loopback.
func (p *Proxy) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// Swallowed gives one value when something has gone nowhere.
func (p *Proxy) Swallowed() <-chan struct{} { return p.fell }

// Close cuts all connections, lets nobody connect any more, and returns when nothing of the proxy is left.
func (p *Proxy) Close() {
	p.Refuse()
	p.fill()
	p.wg.Wait()
}

func (p *Proxy) listen(addr string) {
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

// Accept lets everything through again.
func (p *Proxy) Accept() {
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

// Refuse cuts all connections and lets nobody connect.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	p.cutAll()
}

// Swallow lets every connection stand, and nothing through.
func (p *Proxy) Swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hole = make(chan struct{})
}

func (p *Proxy) swallowed() {
	select {
	case p.fell <- struct{}{}:
	default:
	}
}

// fill ends Swallow. What was swallowed was lost with its connection.
func (p *Proxy) fill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.hole:
	default:
		p.cutAll()
		close(p.hole)
	}
}

// CutAfter refuses everybody after some more bytes from the server, and closes the channel then.
func (p *Proxy) CutAfter(bytes int) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.onCut = bytes, make(chan struct{})
	return p.onCut
}

// cutAll is to be called with mu held.
func (p *Proxy) cutAll() {
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, not an orderly end
		}
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *Proxy) serve(client net.Conn) {
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.to)
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

func (p *Proxy) copy(to, from net.Conn, counted bool) {
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
		_, werr := to.Write(buf[:n])
		if cut != nil {
			p.Refuse()
			close(cut) // not before: who hears of the cut may call Accept
			return
		}
		if err != nil || werr != nil {
			return
		}
	}
}

// allow counts bytes from the server, and says when it is time for the cut: then it returns what is to be closed after it.
func (p *Proxy) allow(n int, counted bool) (int, chan<- struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !counted || p.left < 0 {
		return n, nil
	}
	if n <= p.left {
		p.left -= n
		return n, nil
	}
	n, p.left = p.left, -1
	return n, p.onCut
}
