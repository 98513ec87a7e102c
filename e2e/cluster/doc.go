// Package cluster tests several gates that share their keys: real docsgate processes, PostgreSQL and Redis servers, and proxies between them that
// inject faults. Each test is a row of the outage contract in docs/cluster.md.
//
// The processes run the binary that DOCSGATE_BIN names, else one that is built. CLUSTER_OPERATIONS is the number of operations of the random
// history (default 10,000), and CLUSTER_SEED its seed.
package cluster
