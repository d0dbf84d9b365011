package accounts

import (
	"encoding/hex"
	"net/http"
	"strings"
)

// SessionKey tells one session or token from another without giving it away; ""
// for a request with neither.
func SessionKey(r *http.Request) string {
	secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		c, err := r.Cookie(cookieName)
		if err != nil {
			return ""
		}
		secret = c.Value
	}
	return hex.EncodeToString(secretHash(strings.TrimSpace(secret)))
}
