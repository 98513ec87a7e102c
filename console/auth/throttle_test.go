package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

func from(ip string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = "[" + ip + "]:4711" }
}

func TestWrongTokensThrottled(t *testing.T) {
	d := newGuardTest(t, withToken)
	for i := range perClientBurst {
		if rec := d.do(request("GET", "/v1/keys", bearing("wrong"))); rec.Code != 401 {
			t.Fatalf("attempt %d: status %d", i, rec.Code)
		}
	}
	rec := d.do(request("GET", "/v1/keys", bearing(adminToken)))
	wait, err := strconv.Atoi(rec.Header().Get("Retry-After"))
	if rec.Code != http.StatusTooManyRequests || err != nil || wait < 1 || wait > 6 {
		t.Fatalf("after %d wrong tokens: status %d, Retry-After %q", perClientBurst, rec.Code, rec.Header().Get("Retry-After"))
	}
	// Sign-ins are counted together with other attempts.
	answer := httptest.NewRecorder()
	var no *SignInError
	if err := d.guard.SignIn(answer, request("POST", "/login"), adminToken); !errors.As(err, &no) || no.Status != 429 || answer.Header().Get("Retry-After") == "" {
		t.Errorf("the login: %v", err)
	}
	if rec := d.do(request("GET", "/v1/keys", bearing(adminToken), from("192.0.2.8"))); rec.Code != 204 {
		t.Errorf("another client is locked out: status %d", rec.Code)
	}
	d.now = d.now.Add(time.Duration(wait) * time.Second)
	if rec := d.do(request("GET", "/v1/keys", bearing(adminToken))); rec.Code != 204 {
		t.Errorf("after Retry-After: status %d", rec.Code)
	}
}

// A client can use all addresses of its network.
func TestThrottlePerNetwork(t *testing.T) {
	d := newGuardTest(t, withToken)
	for i := range perClientBurst {
		d.do(request("GET", "/v1/keys", bearing("wrong"), from(fmt.Sprintf("2001:db8::%x", i+1))))
	}
	if rec := d.do(request("GET", "/v1/keys", bearing("wrong"), from("2001:db8:0:ff::ffff"))); rec.Code != 429 {
		t.Errorf("the same /56: status %d", rec.Code)
	}
	if rec := d.do(request("GET", "/v1/keys", bearing("wrong"), from("2001:db8:0:100::1"))); rec.Code != 401 {
		t.Errorf("another /56: status %d", rec.Code)
	}
}

// The attempts of all clients together are limited, but the right token is still accepted.
func TestWrongTokensThrottledInTotal(t *testing.T) {
	d := newGuardTest(t, withToken)
	attempt := func(i int, token string) int {
		return d.do(request("GET", "/v1/keys", bearing(token), from(fmt.Sprintf("2001:db8:%x::1", i)))).Code
	}
	for i := range globalBurst {
		attempt(i, "wrong")
	}
	if got := attempt(globalBurst+1, adminToken); got != 204 {
		t.Errorf("the token from a new address: status %d", got)
	}
	if first, second := attempt(globalBurst+2, "wrong"), attempt(globalBurst+2, "wrong"); first != 401 || second != 429 {
		t.Errorf("two attempts from a new address: status %d, %d", first, second)
	}
	if got := attempt(globalBurst+1, adminToken); got != 204 {
		t.Errorf("the token again: status %d", got)
	}
}

func TestThrottleCacheBounded(t *testing.T) {
	throttle := newLimiter()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for i := range maxClients + 10 {
		throttle.failed(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), now)
	}
	if n := throttle.clients.Len(); n != maxClients {
		t.Errorf("%d places are remembered", n)
	}
}
