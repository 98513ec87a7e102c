package lifecycle

import (
	"context"
	"net/http"
	"time"
)

// Serve serves a request of the console or of Caddy's admin endpoint, and tracks it so that it does not delay a shutdown.
func Serve(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	ctx, stop := context.WithCancelCause(r.Context())
	defer stop(nil)
	t := new(Request)
	control := http.NewResponseController(w)
	t.stop = func(cause error) {
		stop(cause)
		_ = control.SetReadDeadline(aLongTimeAgo) // if not supported, closeAll closes the connection
		if t.conn == nil && t.http1 {
			_ = control.SetWriteDeadline(time.Now().Add(finalWrite)) // the admin endpoint
		}
	}
	if !Requests.Add(t, &ClientWriter{ResponseWriter: w}, r) {
		http.Error(w, ShutdownMessage, http.StatusServiceUnavailable)
		return
	}
	defer Requests.Remove(t)
	handler.ServeHTTP(w, r.WithContext(ctx))
}
