package caddyfileutil

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/docsgate/docsgate/caddymodule/placeholder"
)

// Text parses the one argument of an option that may be specified once.
func Text(d *caddyfile.Dispenser, to *string) error {
	option := d.Val()
	if *to != "" {
		return AlreadySpecified(d)
	}
	if !d.AllArgs(to) {
		return d.ArgErr()
	}
	if *to == "" {
		return d.Errf("%s must not be empty", option)
	}
	return nil
}

// Secret is Text for a secret, which must be a placeholder.
func Secret(d *caddyfile.Dispenser, to *string) error {
	if err := Text(d, to); err != nil {
		return err
	}
	if _, known := placeholder.Parse(*to); !known {
		return d.Err(placeholder.ErrPlaintext.Error())
	}
	return nil
}

// List parses the arguments of an option that needs at least one.
func List(d *caddyfile.Dispenser, to *[]string) error {
	if *to = d.RemainingArgs(); len(*to) == 0 {
		return d.ArgErr()
	}
	return nil
}

// Flag parses an option without arguments.
func Flag(d *caddyfile.Dispenser, to *bool) error {
	*to = true
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// Duration parses a positive duration. example is for the error message, such as "30s or 24h".
func Duration(d *caddyfile.Dispenser, to *caddy.Duration, example string) error {
	name, text := d.Val(), ""
	if !d.AllArgs(&text) {
		return d.ArgErr()
	}
	duration, err := caddy.ParseDuration(text)
	if err != nil || duration <= 0 {
		return d.Errf("%s must be a positive duration, such as %s; got %s", name, example, text)
	}
	*to = caddy.Duration(duration)
	return nil
}

// Size parses a size in bytes from least to most. expected describes the valid values for the error message.
func Size(d *caddyfile.Dispenser, to *int64, least, most uint64, expected string) error {
	name, text := d.Val(), ""
	if !d.AllArgs(&text) {
		return d.ArgErr()
	}
	size, err := humanize.ParseBytes(text)
	if err != nil || size < least || size > most {
		return d.Errf("%s must be %s; got %s", name, expected, text)
	}
	*to = int64(size)
	return nil
}

// WrapErr adds the file and the line to an error; nil stays nil.
func WrapErr(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}
