package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"qingyuan/classify"
	"qingyuan/index"
	"qingyuan/post"
)

// TestCampaignRegroup puts copies in as two workers would that did not see each
// other's, and groups them.
func TestCampaignRegroup(t *testing.T) {
	data := t.TempDir()
	at := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	texts := []string{"网贷逾期别慌，停息挂账六十期，先看征信再报价，微信 hz_anxin88", "代理全额退保，重疾分红都能退，退成再付，加V tuibao6677"}
	withStore(t, data, func(store index.Store) {
		for i := range 6 {
			id := post.NewID("bbs", fmt.Sprint(i))
			p := post.Post{ID: id, Source: "bbs", Kind: post.KindPost, URL: fmt.Sprintf("https://bbs.example/%d", i), Text: texts[i%2], FetchedAt: at.Add(time.Duration(i) * time.Minute)}
			err := store.Put(t.Context(), []index.Record{{Post: p, Verdict: classify.Verdict{Flagged: true, Score: 0.9, Stance: classify.StanceOffer},
				Campaign: index.Campaign{ID: id, FirstSeen: p.FetchedAt}}})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, c := range []struct {
		args string
		want regroupReport
	}{
		{"-dry-run", regroupReport{6, 2, 4}},
		{"-json", regroupReport{6, 2, 4}},
		{"-json", regroupReport{6, 2, 0}},
	} {
		out, errs, code := runCommand(t, "", "campaign", "regroup", "-data", data, "-json", c.args)
		var got regroupReport
		if err := json.Unmarshal([]byte(out), &got); code != 0 || err != nil || got != c.want {
			t.Fatalf("regroup %s: %+v (exit %d, %v, %s), want %+v", c.args, got, code, err, errs, c.want)
		}
	}
	eachRecord(t, data, func(r index.Record) {
		if want := post.NewID("bbs", map[bool]string{true: "0", false: "1"}[r.Post.Text == texts[0]]); r.Campaign.ID != want || r.Campaign.Size != 3 {
			t.Errorf("%s is in %+v, want the campaign of %s with 3", r.Post.URL, r.Campaign, want)
		}
		if r.Triage.Version != 0 || r.Revisions != 0 {
			t.Errorf("%s: grouping touched more than the campaign: %+v", r.Post.URL, r.Triage)
		}
	})
}
