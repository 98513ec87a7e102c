package docsgpt

func (v *Version) attachmentEndpoints() []Endpoint { return nil }
