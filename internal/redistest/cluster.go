package redistest

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"
)

// slots is the number of hash slots of a Redis Cluster.
const slots = 16384

// StartCluster starts a Redis Cluster with three masters and no replicas.
func StartCluster(t testing.TB) [3]*Server {
	t.Helper()
	var servers [3]*Server
	var buses [3]string
	for i := range servers {
		buses[i] = freePort(t)
		servers[i] = Start(t, "--cluster-enabled", "yes", "--cluster-port", buses[i], "--cluster-config-file", "nodes.conf")
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	for i, s := range servers {
		client := s.Client()
		first, last := i*slots/len(servers), (i+1)*slots/len(servers)-1
		if err := client.ClusterAddSlotsRange(ctx, first, last).Err(); err != nil {
			t.Fatalf("assigning slots: %v", err)
		}
		if err := client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)).Err(); err != nil {
			t.Fatalf("setting the epoch of a master: %v", err)
		}
		if i > 0 {
			if err := client.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", servers[0].port, buses[0]).Err(); err != nil {
				t.Fatalf("connecting the masters: %v", err)
			}
		}
	}
	for _, s := range servers {
		client := s.Client()
		for {
			info, err := client.ClusterInfo(ctx).Result()
			if err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3") {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("the cluster is not ready: %v\n%s", err, info)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return servers
}
