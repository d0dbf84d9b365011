package accounts

import (
	"encoding/json"
	"net/http"

	"golang.org/x/text/language"
)

// writeFault writes the body of a refusal to a program: code, message and, where
// there is one, remedy, in the language that it asks for.
func (g *Guard) writeFault(w http.ResponseWriter, r *http.Request, code, key string) {
	lang := g.lang(r)
	if header := r.Header.Get("Accept-Language"); header != "" && len(header) <= 200 {
		if tags, _, err := language.ParseAcceptLanguage(header); err == nil {
			for i := len(tags) - 1; i >= 0; i-- { // best first
				if base, _ := tags[i].Base(); base.String() == "zh" || base.String() == "en" {
					lang = base.String()
				}
			}
		}
	}
	fault := map[string]string{"code": code}
	fault["message"], _ = word(lang, key) // a test asks for each key
	if remedy, err := word(lang, key+".remedy"); err == nil {
		fault["remedy"] = remedy
	}
	data, err := json.Marshal(map[string]any{"error": fault})
	if err != nil {
		return // strings can be written
	}
	w.Write(append(data, '\n')) //nolint:errcheck // the reader has gone
}
