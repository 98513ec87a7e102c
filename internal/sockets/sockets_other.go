//go:build !linux

package sockets

// Read returns ErrUnsupported.
func Read() (*Table, error) { return nil, ErrUnsupported }

func readAll() ([]Listener, error) { return nil, ErrUnsupported }

func process(uint64) (pid int, name string) { return 0, "" }
