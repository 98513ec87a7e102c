// Package doctor examines a deployment of the gate, from outside and from inside, and says what is wrong with it and how
// to mend it. What a configuration says comes in as plain values, see [Input]; the rest it finds out with requests.
//
// It changes nothing. Its requests are refused by a gate that is whole, but for a few questions when it is given a key.
package doctor
