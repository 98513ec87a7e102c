// Package house holds no code, only tests over the whole repository: that the packages depend on each other in one
// direction, that files stay short, and that nothing of the machine it was made on is left in it.
package house
