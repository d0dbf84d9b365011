package classify

import (
	"bytes"
	"os"
)

// loadBuiltinModel loads the dictionaries with the model that ships beside
// them.
func loadBuiltinModel() (*Classifier, error) {
	data, err := os.ReadFile("../dictionaries/model.qym")
	if err != nil {
		return nil, err
	}
	m, err := ReadModel(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return Load(os.DirFS("../dictionaries"), m)
}
