// Package doctor checks a deployment of the gate, from inside and from outside, and reports problems and their fixes. The caller
// passes the contents of the configuration as plain values, see [Input]; the checks send requests for everything else.
//
// The checks do not modify the deployment. A correct gate rejects their requests, except for a few questions if a key is given.
package doctor
