package storagetest

import (
	"bytes"
	"testing"

	"github.com/docsgate/docsgate/keys/registry"
)

func backup(t *testing.T, s registry.Storage) {
	write(t, s, record("key_a"))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		r := record("key_b")
		for {
			select {
			case <-stop:
				return
			default:
				if err := s.Write(t.Context(), []*registry.Record{r}, nil); err != nil {
					t.Errorf("writing: %v", err)
					return
				}
			}
		}
	}()
	var copied bytes.Buffer
	err := s.Backup(t.Context(), &copied)
	close(stop)
	<-stopped
	if err != nil || copied.Len() == 0 {
		t.Errorf("backup of %d bytes, error %v", copied.Len(), err)
	}
	if token := digest("token of key_a"); !bytes.Contains(copied.Bytes(), []byte("key_a")) && !bytes.Contains(copied.Bytes(), token[:]) {
		t.Error("the backup does not contain the key")
	}
}
