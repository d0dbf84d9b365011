package index

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
)

// ChainHash returns the hash of a row that follows one with the hash before,
// "" for the first. Whatever stands in r.Hash does not count.
func (r AuditRow) ChainHash(before string) (string, error) {
	r.Hash = ""
	raw, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append([]byte(before+"\n"), raw...))
	return hex.EncodeToString(sum[:]), nil
}

// Valid returns r with its texts as valid UTF-8, as stores keep them.
func (r AuditRow) Valid() AuditRow {
	for _, s := range [...]*string{&r.Actor, &r.Action, &r.RecordID, &r.From, &r.To, &r.Note, &r.RequestID} {
		*s = strings.ToValidUTF8(*s, "\uFFFD")
	}
	return r
}
