package docsgpt

func (v *Version) artifactEndpoints() []Endpoint { return nil }
