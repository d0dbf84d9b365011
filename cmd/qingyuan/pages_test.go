package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// pagesOf are the pages of the demo and of serve over an empty index.
func pagesOf(t *testing.T) http.Handler {
	t.Helper()
	c := defaultConfig()
	c.Data = t.TempDir()
	store, err := openStore(t.Context(), c)
	if err != nil {
		t.Fatalf("opening the index: %v", err)
	}
	t.Cleanup(func() { store.Close() })
	h, err := newPages(c, store, slog.New(slog.DiscardHandler), nil, nil)
	if err != nil {
		t.Fatalf("making the pages: %v", err)
	}
	return h
}

func visit(h http.Handler, method, target string, cookies ...*http.Cookie) *http.Response {
	r := httptest.NewRequest(method, "http://localhost"+target, nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// The language that a visitor chose under /lang holds for the digest too.
func TestDigestSpeaksTheChosenLanguage(t *testing.T) {
	h := pagesOf(t)
	chosen := visit(h, http.MethodGet, "/lang?to=en").Cookies()
	body, err := io.ReadAll(visit(h, http.MethodGet, "/digest/", chosen...).Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(body), `lang="en`) {
		t.Errorf("after /lang?to=en the digest begins %.120s", body)
	}
}

func TestDigestAddresses(t *testing.T) {
	h := pagesOf(t)
	if to := visit(h, http.MethodGet, "/digest?day=2026-11-20").Header.Get("Location"); !strings.Contains(to, "day=2026-11-20") {
		t.Errorf("/digest?day=2026-11-20 leads to %s", to)
	}
	for _, tc := range []struct {
		method, target string
		want           int
	}{
		{http.MethodGet, "/digest/?day=0001-01-01", http.StatusBadRequest},
		{http.MethodGet, "/digest/?day=9999-12-31", http.StatusBadRequest},
		{http.MethodGet, "/digest/no/such/page", http.StatusNotFound},
		{http.MethodPost, "/digest/", http.StatusMethodNotAllowed},
	} {
		if got := visit(h, tc.method, tc.target).StatusCode; got != tc.want {
			t.Errorf("%s %s: %d, want %d", tc.method, tc.target, got, tc.want)
		}
	}
}

// What crawl refuses, check must not call well.
func TestCheckMissesNoFolderAndNoArgument(t *testing.T) {
	for name, args := range map[string][]string{
		"missing folder": {"check", "-sites", filepath.Join(t.TempDir(), "none")},
		"empty folder":   {"check", "-sites", t.TempDir()},
		"argument":       {"check", "my-site.yaml"},
	} {
		var out strings.Builder
		if code := run(t.Context(), stdio{strings.NewReader(""), &out, &out}, args); code == 0 {
			t.Errorf("%s: exit code 0, printed %s", name, out.String())
		}
	}
}
