// Package sites carries the site configs that stood in this folder when the
// program was built. Nothing but data goes out; what the files mean is the
// business of package crawler. README.md tells operators how to write them.
package sites

import "embed"

// FS holds the site configs (*.yaml). Those with detect are the kits from which
// qingyuan site new makes the config of a new site.
//
//go:embed *.yaml
var FS embed.FS
