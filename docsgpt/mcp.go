package docsgpt

func (v *Version) mcpEndpoints() []Endpoint { return nil }
