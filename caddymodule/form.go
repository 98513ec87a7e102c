package caddymodule

// readForm is not there yet.
func (x *exchange) readForm() *refusal { return notFound }
