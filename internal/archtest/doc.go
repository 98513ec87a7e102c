// Package archtest contains only tests of the whole repository: the layering of packages, the length of files, licenses, wording,
// and traces of the developer's machine.
package archtest
