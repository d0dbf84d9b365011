package elastic

import (
	"encoding/json"
	"fmt"
)

// PostFields are the fields of the documents behind the alias of posts, by their
// full names, multi-fields included, with their Elasticsearch types; "" for
// those that can be neither searched nor counted.
func PostFields() (map[string]string, error) {
	d, err := define(newNames(DefaultPrefix).posts, nil)
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	return fields, addFields(fields, "", d.Mappings["properties"])
}

func addFields(to map[string]string, prefix string, raw json.RawMessage) error {
	var properties map[string]struct {
		Type       string          `json:"type"`
		Index      *bool           `json:"index"`
		Properties json.RawMessage `json:"properties"`
		Fields     json.RawMessage `json:"fields"`
	}
	if err := json.Unmarshal(raw, &properties); err != nil {
		return fmt.Errorf("reading the fields of posts: %w", err)
	}
	for name, p := range properties {
		name = prefix + name
		if p.Type != "" {
			to[name] = p.Type
			if p.Index != nil && !*p.Index {
				to[name] = ""
			}
		}
		for _, below := range []json.RawMessage{p.Properties, p.Fields} {
			if below == nil {
				continue
			}
			if err := addFields(to, name+".", below); err != nil {
				return err
			}
		}
	}
	return nil
}
