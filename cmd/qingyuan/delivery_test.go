package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"qingyuan/index"
)

func TestSubscriptionCommands(t *testing.T) {
	dir := t.TempDir()
	subs := filepath.Join(dir, "subscriptions")
	if err := os.Mkdir(subs, 0o700); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "qingyuan.yaml")
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(config, "data: "+dir+"/data\nsubscriptions: "+subs+"\nsites: ../../configs/sites\nmail: {host: 127.0.0.1, port: 9, tls: none, from: q@agency.example}\n")
	withStore(t, filepath.Join(dir, "data"), func(index.Store) {})
	_, errs, code := runCommand(t, "", "digest", "list", "-config", config)
	if code != 1 || !strings.Contains(errs, "no subscriptions") {
		t.Errorf("without subscriptions: %d %s", code, errs)
	}
	write(filepath.Join(subs, "a.yaml"), "name: desk\ntitle: 日报\nschedule: \"0 9 * * *\"\nchannels: [{mail: {to: [duty@agency.example]}}]\n")
	if out, errs, code := runCommand(t, "", "digest", "list", "-config", config); code != 0 || !strings.Contains(out, "mail:duty@agency.example") {
		t.Errorf("list: %d %s %s", code, out, errs)
	}
	if out, errs, code := runCommand(t, "", "digest", "preview", "-config", config, "desk"); code != 0 || !strings.Contains(out, "日报 · 清源摘要") {
		t.Errorf("preview: %d %s %s", code, out, errs)
	}
	if _, errs, code := runCommand(t, "", "digest", "test", "-config", config, "desk", "mail:duty@agency.example"); code != 1 || !strings.Contains(errs, "sending mail") {
		t.Errorf("test against a dead server: %d %s", code, errs)
	}
	if _, _, code := runCommand(t, "", "digest", "test", "-config", config, "desk"); code != 2 {
		t.Errorf("test without a channel exits %d", code)
	}
	write(filepath.Join(subs, "b.yaml"), "name: desk\nschedule: never\nchannels: []\n")
	out, _, code := runCommand(t, "", "check", "-config", config)
	if code != 1 || !strings.Contains(out, "b.yaml") || !strings.Contains(out, "schedule") {
		t.Errorf("check: %d %s", code, out)
	}
}
