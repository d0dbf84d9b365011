// Package kibana holds the saved objects that qingyuan setup puts into Kibana: a
// data view of the posts, searches, Lens panels and dashboards, one JSON object
// a line as Kibana exports them. It is data and knows nothing of how it is
// checked or imported.
package kibana

import _ "embed" // the objects

// Objects are the saved objects, NDJSON. The data view is called qingyuan-posts,
// and https://triage.example stands for the address of the triage pages: whoever
// imports them puts in the real ones.
//
//go:embed qingyuan.ndjson
var Objects []byte
