package proposal

import _ "embed"

// JSONSchema describes a [Proposal] as JSON, in JSON Schema 2020-12.
//
//go:embed proposal.schema.json
var JSONSchema []byte
