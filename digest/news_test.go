package digest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"qingyuan/index"
)

// campaignOffer is an offer of a campaign.
func campaignOffer(key, campaign, contact string, at time.Time) index.Record {
	// Texts share no letters, so that only the campaign or the contact folds them.
	r := offer(key, "", strings.Repeat(string(rune(0x4e00+int(key[0])*37+int(key[len(key)-1])*31)), 12), at, wechat(contact))
	r.Campaign = index.Campaign{ID: campaign, FirstSeen: at}
	return r
}

func TestOnlyNewsIsListedAgain(t *testing.T) {
	store := openStore(t)
	first, second := day.Add(9*time.Hour), day.Add(33*time.Hour)
	put(t, store, campaignOffer("a1", "camp-a", "aa_1111", first), campaignOffer("a2", "camp-a", "aa_1111", first),
		campaignOffer("b1", "camp-b", "bb_1111", first), campaignOffer("c1", "camp-c", "cc_1111", first))
	period := func(from time.Time, told map[string]Told) Digest {
		return build(t, store, func(o *Options) {
			o.From, o.To, o.Told, o.Now = from, from.Add(24*time.Hour), told, from.Add(25*time.Hour)
		})
	}
	start := first.Add(-time.Hour)
	d := period(start, map[string]Told{})
	if len(d.Hits.Items) != 3 || d.Continuing != (ContinuingHits{}) || d.Hits.Items[0].Copies+d.Hits.Items[1].Copies+d.Hits.Items[2].Copies != 1 {
		t.Fatalf("first period: %d hits listed, %+v continuing", len(d.Hits.Items), d.Continuing)
	}
	if got := d.Campaigns["camp-a"]; got.Members != 2 || len(got.Contacts) != 1 || got.Severity == "" {
		t.Fatalf("what was told of campaign a: %+v", got)
	}
	told := d.Campaigns

	put(t, store, campaignOffer("a3", "camp-a", "aa_1111", second), // goes on
		campaignOffer("b2", "camp-b", "bb_2222", second), // another contact
		campaignOffer("d1", "camp-d", "dd_1111", second), // new
		campaignOffer("c2", "camp-c", "cc_1111", second)) // twice as many as told of
	d = period(start.Add(24*time.Hour), told)
	listed := map[string]bool{}
	for _, h := range d.Hits.Items {
		listed[h.ID] = true
	}
	for key, want := range map[string]bool{"a3": false, "b2": true, "c2": true, "d1": true} {
		if id := offer(key, "", "", day).Post.ID; listed[id] != want {
			t.Errorf("%s listed: %v, want %v", key, listed[id], want)
		}
	}
	if d.Continuing != (ContinuingHits{1, 1}) || d.Totals.Hits.Count != 4 || d.Campaigns["camp-a"].Members != 3 || len(d.Campaigns["camp-b"].Contacts) != 2 {
		t.Errorf("continuing %+v of %d hits, told %+v", d.Continuing, d.Totals.Hits.Count, d.Campaigns)
	}
	if text := render(t, d.Text); !strings.Contains(text, "另有 1 组此前已报") {
		t.Errorf("the text does not say what goes on:\n%s", text)
	}
}

func TestPeriodsAreNamedAndCompared(t *testing.T) {
	store := openStore(t)
	for i, at := range []time.Duration{-20 * time.Hour, -1 * time.Hour, 1 * time.Hour, 10 * time.Hour, 11 * time.Hour} {
		put(t, store, campaignOffer(fmt.Sprint("k", i), fmt.Sprint("k", i), fmt.Sprintf("kk_%d111", i), day.Add(at)))
	}
	d := build(t, store, func(o *Options) {
		o.From, o.To, o.Now, o.Language = day.Add(-6*time.Hour), day.Add(6*time.Hour), day.Add(7*time.Hour), "en"
	})
	if d.Totals.Hits != (Change{2, 0}) || !d.Complete {
		t.Errorf("hits %+v, want 2 and none in the twelve hours before", d.Totals.Hits)
	}
	text := render(t, d.Text)
	for _, want := range []string{"Qingyuan digest 11-20 18:00 to 11-21 06:00", "period before: 0"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	for _, o := range []Options{{From: day}, {To: day}, {From: day, To: day}} {
		if _, err := Build(t.Context(), store, o); err == nil {
			t.Errorf("period %v to %v is accepted", o.From, o.To)
		}
	}
}

func TestSilencedHitsAreCountedOnly(t *testing.T) {
	store := openStore(t)
	at := day.Add(9 * time.Hour)
	put(t, store, campaignOffer("s1", "s1", "quiet_111", at), campaignOffer("s2", "s2", "loud_2222", at))
	d := build(t, store, func(o *Options) { o.Silences = []string{"wechat:quiet_111", "source:nowhere"} })
	if d.Silenced != 1 || d.Totals.Hits.Count != 1 || len(d.Hits.Items) != 1 {
		t.Errorf("%d silenced, %d hits, %d listed; want 1 each", d.Silenced, d.Totals.Hits.Count, len(d.Hits.Items))
	}
	if text := render(t, d.Text); !strings.Contains(text, "已静默 1 条") {
		t.Errorf("the text does not say what is silenced:\n%s", text)
	}
}
