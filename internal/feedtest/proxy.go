package feedtest

import (
	"context"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy is a TCP proxy between a feed and the database server that simulates network failures. It is safe for concurrent use.
// Create one with NewProxy.
type Proxy struct {
	t  testing.TB
	to string

	mu         sync.Mutex // guards the following
	addr       string
	listener   net.Listener
	conns      map[net.Conn]bool
	pass       chan struct{} // closed: data is forwarded; open: data is blackholed
	blackholed chan struct{} // receives a value when data was blackholed
	cutAfter   int           // bytes from the server until the cut; negative: no cut
	onCut      chan struct{} // closed at the cut
	latency    time.Duration // of each chunk
	rate       int           // bytes per second; 0: not limited
	wg         sync.WaitGroup
}

// NewProxy starts a proxy for a server, which forwards everything. It is closed when the test ends.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, to: to, conns: map[net.Conn]bool{}, pass: make(chan struct{}), blackholed: make(chan struct{}, 1), cutAfter: -1}
	close(p.pass)
	p.listen(uniqueAddress())
	t.Cleanup(p.Close)
	return p
}

var proxies atomic.Int32

// uniqueAddress returns an address to listen on. If the system has several loopback addresses, each proxy gets another one, so no
// other process takes its port while it refuses connections.
func uniqueAddress() string {
	pid := os.Getpid()
	host := net.IPv4(127, byte(1+pid>>8&0x7f), byte(pid), byte(1+proxies.Add(1)%254)).String()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", host+":0")
	if err != nil {
		return "127.0.0.1:0"
	}
	_ = l.Close()
	return host + ":0"
}

// Addr returns the address of the proxy, a loopback host and a port.
func (p *Proxy) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// Blackholed returns a channel that receives a value when data was blackholed.
func (p *Proxy) Blackholed() <-chan struct{} { return p.blackholed }

// Close resets all connections, stops listening, and waits until all goroutines of the proxy have ended.
func (p *Proxy) Close() {
	p.Refuse()
	p.endBlackhole()
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

// Accept forwards everything again.
func (p *Proxy) Accept() {
	p.t.Helper()
	p.endBlackhole()
	p.mu.Lock()
	p.cutAfter = -1
	closed := p.listener == nil
	p.mu.Unlock()
	if closed {
		p.listen(p.addr)
	}
}

// Refuse resets all connections and refuses new ones.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	p.cutAll()
}

// Blackhole keeps connections open and accepts new ones, but forwards no data.
func (p *Proxy) Blackhole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass = make(chan struct{})
}

func (p *Proxy) notifyBlackholed() {
	select {
	case p.blackholed <- struct{}{}:
	default:
	}
}

// endBlackhole ends Blackhole. It resets the connections, because their data is lost.
func (p *Proxy) endBlackhole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.pass:
	default:
		p.cutAll()
		close(p.pass)
	}
}

// CutAfter calls Refuse after the given number of bytes from the server, and then closes the returned channel.
func (p *Proxy) CutAfter(bytes int) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutAfter, p.onCut = bytes, make(chan struct{})
	return p.onCut
}

// cutAll resets all connections. p.mu must be held.
func (p *Proxy) cutAll() {
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // RST instead of FIN
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
		hole := p.pass
		p.mu.Unlock()
		if n > 0 {
			select {
			case <-hole:
			default:
				p.notifyBlackholed()
				<-hole
			}
		}
		p.delay(n)
		n, cut := p.allow(n, counted)
		_, werr := to.Write(buf[:n])
		if cut != nil {
			p.Refuse()
			close(cut) // after Refuse, because the test may call Accept when the channel is closed
			return
		}
		if err != nil || werr != nil {
			return
		}
	}
}

// allow returns how many of n bytes may be forwarded. counted: they are from the server. At the cut it also returns the channel to
// close after it.
func (p *Proxy) allow(n int, counted bool) (int, chan<- struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !counted || p.cutAfter < 0 {
		return n, nil
	}
	if n <= p.cutAfter {
		p.cutAfter -= n
		return n, nil
	}
	n, p.cutAfter = p.cutAfter, -1
	return n, p.onCut
}
