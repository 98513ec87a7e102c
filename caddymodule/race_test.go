//go:build race

package caddymodule_test

// leakTestStreams is the number of streams in TestStreamsLeaveNothing. Each takes about ten times as long with the race detector.
const leakTestStreams = 1000
