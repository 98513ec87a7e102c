package docsgpt

func (v *Version) speechEndpoints() []Endpoint { return nil }
