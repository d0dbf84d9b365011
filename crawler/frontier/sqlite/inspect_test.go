package sqlite_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"qingyuan/crawler/frontier"
	"qingyuan/crawler/frontier/sqlite"
)

func TestInspectTellsWhereHostsAndSourcesStand(t *testing.T) {
	ctx, now := context.Background(), time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	d := open(t, t.TempDir(), sqlite.Options{Now: func() time.Time { return now }})
	add := func(host string, n int, source string, due time.Time) {
		k := task(host, n)
		k.Source, k.Delay, k.Due = source, 10*time.Second, due
		k.ID = frontier.ID(source, k.URL)
		if _, err := d.Add(ctx, k); err != nil {
			t.Fatal(err)
		}
	}
	if at, err := d.LastStart(ctx); err != nil || !at.IsZero() {
		t.Errorf("LastStart of a new file = %v, %v", at, err)
	}
	for i := range 3 {
		add("busy.example", i, "busy", time.Time{})
	}
	add("rests.example", 1, "rests", time.Time{})
	add("later.example", 1, "later", now.Add(time.Hour))
	if err := d.BackOff(ctx, "rests.example", now.Add(2*time.Hour), "status 503"); err != nil {
		t.Fatal(err)
	}
	leases, _, err := d.Next(ctx, 5, time.Minute)
	if err != nil || len(leases) != 1 {
		t.Fatalf("Next = %d leases, %v; want the one of busy.example", len(leases), err)
	}
	hosts, err := d.Hosts(ctx, 10)
	if err != nil || len(hosts) != 2 {
		t.Fatalf("Hosts = %+v, %v; want busy.example and rests.example", hosts, err)
	}
	if h := hosts[0]; h.Host != "busy.example" || !h.Leased || h.Source != "busy" || h.Ready != 2 || !h.Started.Equal(now) || !h.Free.IsZero() {
		t.Errorf("a host in work: %+v", h)
	}
	if h := hosts[1]; h.Host != "rests.example" || h.Leased || h.Source != "rests" || h.Reason != "status 503" || !h.Until.Equal(now.Add(2*time.Hour)) || !h.Free.Equal(h.Until) {
		t.Errorf("a host backed off: %+v", h)
	}
	if err := d.Dead(ctx, leases[0], "status 404"); err != nil {
		t.Fatal(err)
	}
	hosts, err = d.Hosts(ctx, 1)
	if err != nil || len(hosts) != 1 || !hosts[0].Free.Equal(now.Add(10*time.Second)) {
		t.Errorf("after the answer, the first host is %+v, %v; want busy.example, free after its delay", hosts, err)
	}
	sources, err := d.Sources(ctx)
	want := []frontier.SourceStanding{{Source: "busy", Ready: 2, Dead: 1}, {Source: "later", Later: 1, NextDue: now.Add(time.Hour)}, {Source: "rests", Ready: 1}}
	if err != nil || fmt.Sprint(normal(sources)) != fmt.Sprint(normal(want)) {
		t.Errorf("Sources = %+v, %v\nwant %+v", sources, err, want)
	}
	if at, err := d.LastStart(ctx); err != nil || !at.Equal(now) {
		t.Errorf("LastStart = %v, %v; want %v", at, err, now)
	}
}

func normal(s []frontier.SourceStanding) []frontier.SourceStanding {
	for i := range s {
		s[i].NextDue = s[i].NextDue.UTC()
	}
	return s
}
