// Package dictionaries carries the built-in dictionaries: one YAML file a
// category, the classes and stance cues they share, and the learned model that
// was fitted beside them. Nothing but data goes out; what the files mean is the
// business of package classify. README.md tells operators how to edit them.
package dictionaries

import "embed"

// FS holds the dictionary files (*.yaml) and, under model.qym, the learned
// model.
//
//go:embed *.yaml model.qym
var FS embed.FS
