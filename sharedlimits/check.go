package sharedlimits

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/redis/go-redis/v9"
)

// checkTimeout is the timeout of each command of Check. It is longer than that of a decision, since the check is made once.
const checkTimeout = 5 * time.Second

// checkScript does what scripts of decisions do, and leaves nothing.
var checkScript = redis.NewScript(`
redis.call('TIME')
redis.call('HSET', KEYS[1], 'check', '1')
redis.call('PEXPIRE', KEYS[1], 1000)
return redis.call('DEL', KEYS[1])`)

// Check connects to the server once, and returns an error unless a script can write keys with the prefix. It does not count as a gate.
func Check(ctx context.Context, o Options) error {
	o.Timeout, o.NodesFile, o.Observer = checkTimeout, "", nil
	c, err := New(o)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.ping(ctx); err != nil {
		return err
	}
	_, err = c.Run(context.WithValue(ctx, probing{}, true), checkScript, []string{c.Key(gatesTag, "check-"+rand.Text())})
	return err
}
