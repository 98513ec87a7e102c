//go:build !race

package caddymodule_test

// leakTestStreams is the number of streams in TestStreamsLeaveNothing.
const leakTestStreams = 10_000
