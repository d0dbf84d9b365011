package elastic_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"qingyuan/index/elastic"
)

// ownServer is an Elasticsearch of one test's own, with TLS and users, to be
// killed.
type ownServer struct {
	dir         string
	port        int
	cmd         *exec.Cmd
	caFile      string
	fingerprint string
	client      *http.Client
}

// The only user, and the hash of its password in the server's own form.
const (
	ownUser     = "writer"
	ownPassword = "correct-horse-9"
	ownHash     = "$2a$10$P.L52zZk64732JXAjbD04eAMibs1TMDlr8W9daKUz3pjnyNKFLVni"
)

// newOwnServer starts a server that takes requests up to a megabyte.
func newOwnServer(t *testing.T) *ownServer {
	t.Helper()
	server(t) // skips or fails where there can be none
	dir, err := os.MkdirTemp("", "qingyuan-elastic")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &ownServer{dir: dir, port: ln.Addr().(*net.TCPAddr).Port}
	ln.Close()
	t.Cleanup(func() {
		o.kill(t)
		os.RemoveAll(dir)
	})
	if err := os.Chmod(dir, 0o755); err != nil { // it runs as another user
		t.Fatal(err)
	}
	o.writeConfig(t)
	o.start(t)
	return o
}

// writeConfig puts users and certificates where the server looks for them.
func (o *ownServer) writeConfig(t *testing.T) {
	t.Helper()
	config := filepath.Join(o.dir, "config")
	if err := os.Mkdir(config, 0o755); err != nil {
		t.Fatal(err)
	}
	ca, caKey := certificate(t, nil, nil, true)
	leaf, leafKey := certificate(t, ca, caKey, false)
	rawKey, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, raw []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: raw}) }
	caPEM := encode("CERTIFICATE", ca.Raw)
	for name, content := range map[string][]byte{
		"users": []byte(ownUser + ":" + ownHash + "\n"), "users_roles": []byte("superuser:" + ownUser + "\n"),
		"ca.pem": caPEM, "http.pem": append(encode("CERTIFICATE", leaf.Raw), caPEM...), "http.key": encode("PRIVATE KEY", rawKey),
	} {
		if err := os.WriteFile(filepath.Join(config, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o.caFile = filepath.Join(config, "ca.pem")
	sum := sha256.Sum256(ca.Raw)
	o.fingerprint = hex.EncodeToString(sum[:])
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	o.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: 10 * time.Second}
}

// certificate makes a certificate of a parent's, or of its own.
func certificate(t *testing.T, parent *x509.Certificate, parentKey *ecdsa.PrivateKey, authority bool) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: fmt.Sprint("test authority: ", authority)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: authority, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	if parent == nil {
		parent, parentKey = c, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err = x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

// start starts the server over its data and waits until it answers.
func (o *ownServer) start(t *testing.T) {
	t.Helper()
	log, err := os.Create(filepath.Join(o.dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	o.cmd = exec.Command("../../scripts/services", "elastic", o.dir, fmt.Sprint(o.port), "xpack.security.enabled=true", "http.max_content_length=1mb",
		"xpack.security.http.ssl.enabled=true", "xpack.security.http.ssl.certificate=http.pem", "xpack.security.http.ssl.key=http.key",
		"xpack.security.authc.api_key.enabled=true")
	o.cmd.Stdout, o.cmd.Stderr = log, log
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its launcher has a child
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	cmd := o.cmd
	go func() { ended <- cmd.Wait() }()
	deadline := time.After(3 * time.Minute)
	for {
		req, err := http.NewRequestWithContext(t.Context(), "GET", o.url()+"/_cluster/health?wait_for_status=yellow", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(ownUser, ownPassword)
		if res, err := o.client.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-ended:
			text, _ := os.ReadFile(filepath.Join(o.dir, "out"))
			t.Fatalf("the server ended: %v\n%s", err, text)
		case <-deadline:
			text, _ := os.ReadFile(filepath.Join(o.dir, "out"))
			t.Fatalf("the server does not come up:\n%s", text)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// kill ends the server as a power cut would.
func (o *ownServer) kill(t *testing.T) {
	t.Helper()
	if o.cmd == nil || o.cmd.Process == nil {
		return
	}
	if err := syscall.Kill(-o.cmd.Process.Pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		t.Error(err)
	}
	// The port is free when nobody answers.
	for {
		conn, err := net.DialTimeout("tcp", fmt.Sprint("127.0.0.1:", o.port), time.Second)
		if err != nil {
			return
		}
		conn.Close()
	}
}

func (o *ownServer) url() string { return fmt.Sprint("https://127.0.0.1:", o.port) }

// trusted is the server as a well-configured program sees it.
func (o *ownServer) trusted() elastic.Server {
	return elastic.Server{URLs: []string{o.url()}, CAFile: o.caFile, User: ownUser, Password: ownPassword}
}
