// Package terminal prints text, tables and JSON that contain untrusted values, so that no value controls the terminal.
package terminal
