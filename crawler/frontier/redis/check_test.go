package redis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"qingyuan/crawler/frontier"
	"qingyuan/crawler/frontier/redis"
	"qingyuan/crawler/frontier/redis/redistest"
)

func codes(t *testing.T, d *redis.DB) []string {
	t.Helper()
	r, err := d.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range r.Findings {
		if f.ZH == "" || f.EN == "" {
			t.Errorf("finding %s has no text", f.Code)
		}
		out = append(out, f.Code)
	}
	return out
}

func TestCheck(t *testing.T) {
	s := redistest.Start(t)
	d := open(t, quick(s.Addr))
	if got := codes(t, d); len(got) != 0 {
		t.Errorf("a server as it should be: %v", got)
	}
	r, err := d.Check(t.Context())
	if err != nil || !strings.Contains(r.Server, ".") || r.Fsync != "everysec" || !r.AOF || r.Policy != "noeviction" || r.RoundTrip <= 0 {
		t.Errorf("Check = %+v, %v", r, err)
	}
	s.Do("CONFIG", "SET", "appendonly", "no")
	s.Do("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
	if got := codes(t, d); !slices.Equal(got, []string{"policy", "aof"}) {
		t.Errorf("without AOF and with eviction: %v", got)
	}
	s.Do("CONFIG", "SET", "maxmemory", "1mb")
	if _, err := redis.Open(t.Context(), quick(s.Addr)); err == nil || !strings.Contains(err.Error(), "noeviction") {
		t.Errorf("Open of a server that may evict: %v", err)
	}
	s.Do("CONFIG", "SET", "maxmemory", "0")
	s.Do("CONFIG", "SET", "appendonly", "yes", "appendfsync", "no")
	s.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
	if got := codes(t, d); !slices.Equal(got, []string{"fsync"}) {
		t.Errorf("with appendfsync no: %v", got)
	}
	s.Kill()
	if _, err := d.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("Check without a server: %v", err)
	}
}

// acl is what docs/redis.md tells operators to allow.
const acl = "~{qingyuan}:* resetchannels -@all +@connection +@read +@write +@scripting +info +time +config|get"

func TestUserWithFewRights(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/redis.md")
	if err != nil || !strings.Contains(string(doc), acl) {
		t.Errorf("docs/redis.md does not name the rights that are tested here: %v", err)
	}
	s := redistest.Start(t)
	s.Do(append([]any{"ACL", "SETUSER", "crawler", "on", ">secret"}, fields(acl)...)...)
	s.Do("ACL", "SETUSER", "default", "off")
	opts := quick(s.Addr)
	if _, err := redis.Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "user or password") {
		t.Errorf("Open without a password: %v", err)
	}
	opts.User, opts.Password = "crawler", "wrong"
	if _, err := redis.Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "user or password") || strings.Contains(err.Error(), "wrong ") {
		t.Errorf("Open with a wrong password: %v", err)
	}
	opts.Password = "secret"
	d := open(t, opts)
	f := newField(t, 3, 5)
	f.seed(d)
	f.run(d, 2, time.Minute)
	f.check(d)
	if err := d.Note(t.Context(), map[string]string{"a": "b"}); err != nil {
		t.Error(err)
	}
	if got := codes(t, d); len(got) != 0 {
		t.Errorf("Check: %v", got)
	}
	opts.Prefix = "another"
	if _, err := redis.Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "ACL") {
		t.Errorf("Open of another prefix: %v", err)
	}
}

func fields(s string) []any {
	var out []any
	for _, w := range strings.Fields(s) {
		out = append(out, w)
	}
	return out
}

func TestTLS(t *testing.T) {
	cert, key, pool := certificate(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	redistest.Start(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no")
	opts := quick("127.0.0.1:" + port)
	opts.TLS = &tls.Config{RootCAs: pool}
	d := open(t, opts)
	if _, err := d.Add(t.Context(), task("a.example", 1)); err != nil {
		t.Error(err)
	}
	opts.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
	if _, err := redis.Open(t.Context(), opts); err == nil {
		t.Error("a certificate of an unknown authority was taken")
	}
}

func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(cert)
	return certFile, keyFile, pool
}

func TestOpenRefuses(t *testing.T) {
	for name, opts := range map[string]redis.Options{
		"no address": {},
		"prefix":     {Addrs: []string{"127.0.0.1:1"}, Prefix: "a{b}"},
		"no server":  {Addrs: []string{"127.0.0.1:1"}, Patience: time.Millisecond},
	} {
		if d, err := redis.Open(t.Context(), opts); err == nil {
			d.Close()
			t.Errorf("%s: Open succeeded", name)
		}
	}
}

// TestRestartOfManyTasks: a pass is begun in steps, and one whose process ended
// between two is begun to its end by the others.
func TestRestartOfManyTasks(t *testing.T) {
	ctx := t.Context()
	s := redistest.Start(t)
	d := open(t, quick(s.Addr))
	const n = 3000
	fill(t, d, n, 3)
	for range 2 {
		if got, err := d.Finish(ctx, "bbs"); err != nil || got != n {
			t.Fatalf("Finish = %d, %v; want %d", got, err, n)
		}
		if got, err := d.Restart(ctx, "bbs"); err != nil || got != n {
			t.Fatalf("Restart = %d, %v; want %d", got, err, n)
		}
	}
	if _, err := d.Finish(ctx, "bbs"); err != nil {
		t.Fatal(err)
	}
	redis.BeginPass(t, d, "restart", "bbs") // and no further step
	var leases []frontier.Lease
	for len(leases) < 1 {
		ls, _, err := d.Next(ctx, 1, time.Hour)
		if err != nil && len(ls) == 0 && !strings.Contains(err.Error(), "no task is due") {
			t.Fatal(err)
		}
		leases = append(leases, ls...)
	}
	for range n/128 + 1 {
		d.Next(ctx, 1, time.Hour)
	}
	st, err := d.Stats(ctx, "bbs")
	if err != nil || st.Waiting+st.Leased != n || st.Done != 0 {
		t.Errorf("after others went on: %+v, %v; want all %d waiting or leased", st, err, n)
	}
}
