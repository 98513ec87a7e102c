package feedtest

import "time"

// Slow delays what is forwarded in both directions, and limits its rate. Zeros end that.
func (p *Proxy) Slow(latency time.Duration, bytesPerSecond int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency, p.rate = latency, bytesPerSecond
}

// delay sleeps before n bytes are forwarded.
func (p *Proxy) delay(n int) {
	p.mu.Lock()
	pause := p.latency
	if p.rate > 0 {
		pause += time.Duration(n) * time.Second / time.Duration(p.rate)
	}
	p.mu.Unlock()
	if pause > 0 {
		time.Sleep(pause)
	}
}
