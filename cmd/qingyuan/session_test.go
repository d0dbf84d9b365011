package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSessionCommand(t *testing.T) {
	data := t.TempDir()
	if out := mustRun(t, "", "session", "-data", data, "-lang", "en"); out != "no site is read under a session\n" {
		t.Errorf("none: %q", out)
	}
	dir := filepath.Join(data, "sessions")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const kept = `{"source":"bbs","account":"duty-2","logged_in":"2026-11-20T08:00:00Z","stopped":"2026-11-21T08:00:00Z","why":"captcha wall: title is 安全验证","url":"https://bbs.example.com/t/1","cookies":1,
		"saved":[{"url":"https://bbs.example.com/","name":"auth","value":"top-secret"}]}`
	if err := os.WriteFile(filepath.Join(dir, "bbs.json"), []byte(kept), 0o600); err != nil {
		t.Fatal(err)
	}
	for lang, want := range map[string]string{"en": "bbs  duty-2  stopped since 2026-11-21 16:00:00: captcha wall", "zh": "bbs  duty-2  自 2026-11-21 16:00:00 起停止：captcha wall"} {
		out := mustRun(t, "", "session", "-data", data, "-lang", lang) + mustRun(t, "", "session", "-json", "-data", data)
		if !strings.Contains(out, want) || strings.Contains(out, "top-secret") {
			t.Errorf("%s: %s", lang, out)
		}
	}
	mustRun(t, "", "session", "-data", data, "resume", "bbs")
	if out := mustRun(t, "", "session", "-data", data, "-lang", "en"); out != "bbs  duty-2  open\n" {
		t.Errorf("resumed: %q", out)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "bbs.json"))
	if err != nil || !strings.Contains(string(raw), "top-secret") {
		t.Errorf("the cookies are gone: %s, %v", raw, err)
	}
	for args, want := range map[string]int{"resume bbs": 1, "resume other": 1, "resume ../x": 2, "resume": 2, "stop bbs": 2} {
		if _, errOut, code := runCommand(t, "", append([]string{"session", "-data", data}, strings.Fields(args)...)...); code != want {
			t.Errorf("session %s: exit %d, want %d\n%s", args, code, want, errOut)
		}
	}
}
