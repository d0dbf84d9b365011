package elastic_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"qingyuan/index"
	"qingyuan/index/elastic"
	"qingyuan/index/indextest"
)

// secured asks the test's own server something as its user.
func (o *ownServer) secured(t *testing.T, method, path, body string, out any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, o.url()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(ownUser, ownPassword)
	res, err := o.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	if out != nil && res.StatusCode < 300 {
		if err := json.Unmarshal(text.Bytes(), out); err != nil {
			t.Fatal(err)
		}
	}
	if res.StatusCode >= 300 {
		t.Logf("%s %s: %d %s", method, path, res.StatusCode, text.String())
	}
	return res.StatusCode
}

// apiKey makes a key with rights; "" when this server cannot.
func (o *ownServer) apiKey(t *testing.T, rights string) (id, encoded string) {
	t.Helper()
	var key struct{ ID, Encoded string }
	o.secured(t, "POST", "/_security/api_key", fmt.Sprintf(`{"name":"k","role_descriptors":{"r":%s}}`, rights), &key)
	return key.ID, key.Encoded
}

// testAPIKeys works with the rights that docs/elasticsearch.md names and no
// others, and stops when the key is revoked.
func testAPIKeys(t *testing.T, o *ownServer, opts elastic.Options) {
	opts.User, opts.Password, opts.Prefix = "", "", "keys"
	_, opts.APIKey = o.apiKey(t, `{"cluster":["monitor","manage_index_templates"],"indices":[{"names":["keys-*"],"privileges":["manage"]}]}`)
	if opts.APIKey == "" {
		t.Skip("this server cannot make API keys: scripts/services found no Java compiler for the part it lacks")
	}
	setUp(t, opts)
	id, key := o.apiKey(t, `{"cluster":["monitor"],"indices":[
		{"names":["keys-posts*","keys-revisions*","keys-state*"],"privileges":["read","write","view_index_metadata","maintenance"]},
		{"names":["keys-audit*"],"privileges":["read","create_doc","view_index_metadata","maintenance"]}]}`)
	opts.APIKey, opts.Spool = key, t.TempDir()
	s := open(t, opts)
	recs := indextest.Posts(20, 7)
	put(t, s, recs...)
	edited := recs[0]
	edited.Post.Text += "，改过"
	edited.Post.FetchedAt = indextest.Now()
	put(t, s, edited)
	if _, err := s.Triage(t.Context(), recs[1].Post.ID, 0, index.TriageChange{Actor: "lin", Status: index.StatusConfirmed, Comment: "证据齐"}); err != nil {
		t.Error(err)
	}
	if p, err := s.Search(t.Context(), index.Query{Text: "status:confirmed"}); err != nil || p.Total != 1 {
		t.Errorf("search: %d, %v", p.Total, err)
	}
	if err := s.VerifyAudit(t.Context()); err != nil {
		t.Error(err)
	}
	if o.secured(t, "DELETE", "/_security/api_key", fmt.Sprintf(`{"ids":[%q]}`, id), nil) != http.StatusOK {
		t.Fatal("the key cannot be revoked")
	}
	if err := s.Put(t.Context(), indextest.Posts(21, 8)[20:]); !errors.Is(err, elastic.ErrRefused) {
		t.Errorf("Put with a revoked key: %v, want ErrRefused", err)
	}
	if st := s.Stats(); st.State != elastic.StateRefused || !strings.Contains(st.Problem, "check the API key") {
		t.Errorf("with a revoked key: %+v", st)
	}
}
