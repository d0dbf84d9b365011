package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"qingyuan/configs/kibana"
	"qingyuan/strictyaml"
)

// kibanaConfig is the kibana part of the config.
type kibanaConfig struct {
	URL          string `yaml:"url"`           // empty: setup imports nothing
	Space        string `yaml:"space"`         // empty: the default one
	CAFile       string `yaml:"ca_file"`       // authority of its certificate, PEM; empty: those of this machine
	APIKeyFile   string `yaml:"api_key_file"`  // file with the key, encoded
	User         string `yaml:"user"`          // or a user
	PasswordFile string `yaml:"password_file"` // and the file with its password
}

// check returns what is wrong with the values.
func (k kibanaConfig) check(at func(problem, remedy string, path ...any) strictyaml.Mistake) strictyaml.Mistakes {
	var ms strictyaml.Mistakes
	if u, err := url.Parse(k.URL); k.URL != "" && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "") {
		ms = append(ms, at(fmt.Sprintf("%q is no address of Kibana", k.URL), "write https://kibana.example:5601", "kibana", "url"))
	}
	if strings.Trim(k.Space, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		ms = append(ms, at(fmt.Sprintf("%q is no space", k.Space), "use its identifier: small letters, digits, _ and -", "kibana", "space"))
	}
	if k.APIKeyFile != "" && k.User != "" || (k.User == "") != (k.PasswordFile == "") {
		ms = append(ms, at("a key, or a user with a password file, is wanted", "give one of them", "kibana"))
	}
	return ms
}

// kibanaObjects are the objects for an index and the pages of this config.
func kibanaObjects(c config) ([]byte, error) {
	base := c.base()
	if strings.ContainsAny(base, "\"\\{}\n") {
		return nil, fmt.Errorf("base_url %q cannot stand in a link of Kibana", base)
	}
	text := strings.ReplaceAll(string(kibana.Objects), `"qingyuan-`, `"`+c.Index.Elastic.Prefix+"-")
	return []byte(strings.ReplaceAll(text, "https://triage.example/", base+"/")), nil
}

// maxKibana bounds an answer of Kibana in bytes.
const maxKibana = 8 << 20

// importKibana puts the saved objects into Kibana, over those of the same ids,
// and returns how many. Kibana answers 200 also when it took only some: what it
// says of each object is the error then.
func importKibana(ctx context.Context, c config) (int, error) {
	objects, err := kibanaObjects(c)
	if err != nil {
		return 0, err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "qingyuan.ndjson")
	if err == nil {
		_, err = part.Write(objects)
	}
	if err = errors.Join(err, form.Close()); err != nil {
		return 0, err
	}
	address := strings.TrimRight(c.Kibana.URL, "/")
	if c.Kibana.Space != "" {
		address += "/s/" + c.Kibana.Space
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/api/saved_objects/_import?overwrite=true", &body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("kbn-xsrf", "true")
	client, err := c.Kibana.client(req)
	if err != nil {
		return 0, err
	}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("asking Kibana: %w", err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxKibana))
	if err != nil {
		return 0, fmt.Errorf("reading Kibana's answer: %w", err)
	}
	return readImport(resp.StatusCode, raw)
}

// client has the secrets of the config put into the request.
func (k kibanaConfig) client(req *http.Request) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if k.CAFile != "" {
		pem, err := os.ReadFile(k.CAFile)
		if err != nil {
			return nil, fmt.Errorf("kibana.ca_file: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kibana.ca_file: %s holds no certificate in PEM", k.CAFile)
		}
	}
	key, err := secret("", k.APIKeyFile)
	if err != nil {
		return nil, fmt.Errorf("kibana.api_key_file: %w", err)
	}
	password, err := secret("", k.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("kibana.password_file: %w", err)
	}
	switch {
	case key != "":
		req.Header.Set("Authorization", "ApiKey "+key)
	case k.User != "":
		req.SetBasicAuth(k.User, password)
	}
	// A redirect is a login page or another server: neither takes the objects.
	return &http.Client{Transport: &http.Transport{TLSClientConfig: conf, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

func readImport(status int, raw []byte) (int, error) {
	var answer struct {
		Success bool   `json:"success"`
		Count   int    `json:"successCount"`
		Message string `json:"message"`
		Errors  []struct {
			Type  string `json:"type"`
			ID    string `json:"id"`
			Error struct {
				Type       string      `json:"type"`
				Message    string      `json:"message"`
				References []reference `json:"references"`
			} `json:"error"`
		} `json:"errors"`
	}
	err := json.Unmarshal(raw, &answer)
	if status != http.StatusOK {
		return 0, fmt.Errorf("answer %d of Kibana: %s; check kibana.url, the key and its right to manage saved objects", status, printable(answer.Message))
	}
	if err != nil {
		return 0, fmt.Errorf("the answer of kibana.url is not that of Kibana: %w", err)
	}
	var errs []error
	for _, e := range answer.Errors {
		text := e.Error.Type
		for _, r := range e.Error.References {
			text += " " + r.Type + "/" + r.ID
		}
		if e.Error.Message != "" {
			text += ": " + e.Error.Message
		}
		errs = append(errs, fmt.Errorf("%s %s: %s", printable(e.Type), printable(e.ID), printable(text)))
	}
	if len(errs) == 0 && !answer.Success {
		errs = append(errs, errors.New("it says that it failed, and not why"))
	}
	if len(errs) > 0 {
		return answer.Count, fmt.Errorf("%d objects are in Kibana, not these:\n%w", answer.Count, errors.Join(errs...))
	}
	return answer.Count, nil
}
