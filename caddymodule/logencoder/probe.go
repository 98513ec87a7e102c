package logencoder

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Covers reports whether all logs that a logger writes to have the encoder docsgate, which an encoder around it may wrap. It
// writes nothing.
func Covers(logger *zap.Logger) bool {
	p := new(probe)
	// Each core encodes the fields of With immediately, with its encoder.
	logger.Core().With([]zap.Field{zap.Object("", p)})
	return !p.missed
}

// probe is a field by which Covers finds encoders.
type probe struct{ covered, missed bool }

// MarshalLogObject implements zapcore.ObjectMarshaler. An [Encoder] does not call it.
func (p *probe) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	p.covered = false
	err := enc.AddReflected("", p) // the filter encoder passes it on to the encoder that it wraps
	p.missed = p.missed || !p.covered
	return err
}

// MarshalJSON implements json.Marshaler.
func (*probe) MarshalJSON() ([]byte, error) { return []byte("null"), nil }
