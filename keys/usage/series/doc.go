// Package series records the usage of keys over time: for each key, and for all keys together, counts in buckets of a minute, an hour and
// a day. A key that is not used costs nothing, and neither does a bucket without a request. There are no texts of questions and no
// addresses of clients.
//
// A Recorder counts in memory, in one row per key and minute. A Saver moves these rows to a Storage every 5 seconds, which adds them to the
// buckets of all resolutions. So a crash loses the counts of at most 5 seconds, and of the time for which the storage was unavailable. If
// several gates share a storage, the buckets are the sums over all of them.
package series
