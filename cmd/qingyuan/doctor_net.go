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
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

func loopbackAddr(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// certificateSoon is how long before its end a certificate is worth a word.
const certificateSoon = 21 * 24 * time.Hour

// checkCertificate reads the pages' own certificate.
func checkCertificate(_ context.Context, c config) []finding {
	if c.TLS.CertFile == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLS.CertFile, c.TLS.KeyFile)
	if err != nil {
		return []finding{failed("tls", told{"无法使用证书", "the certificate cannot be used"}, err, told{"检查 tls.cert_file 与 tls.key_file", "check tls.cert_file and tls.key_file"})}
	}
	left := time.Until(pair.Leaf.NotAfter)
	text := told{"证书有效期至 " + pair.Leaf.NotAfter.Format(time.DateOnly), "the certificate ends on " + pair.Leaf.NotAfter.Format(time.DateOnly)}
	renew := told{"更换证书文件后重启 serve", "replace its files and restart serve"}
	switch {
	case left <= 0:
		return []finding{failure("tls", text, renew)}
	case left < certificateSoon:
		return []finding{warning("tls", text, renew)}
	}
	return []finding{fine("tls", text)}
}

// checkListen looks whether the pages can listen, or do.
func checkListen(ctx context.Context, c config) []finding {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err == nil {
		ln.Close()
		return []finding{fine("listen", told{c.Addr + " 空闲，serve 可以监听", c.Addr + " is free for serve"})}
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return []finding{failed("listen", told{"无法监听 " + c.Addr, "serve cannot listen on " + c.Addr}, err,
			told{"检查 addr；1024 以下的端口需要权限", "check addr; ports below 1024 need a right"})}
	}
	status, answer, err := askHealth(ctx, c)
	if err != nil {
		return []finding{failed("listen", told{c.Addr + " 已被别的程序占用，或 serve 没有应答", c.Addr + " is taken by another program, or serve does not answer"}, err,
			told{"结束那个程序，或换一个 addr", "end that program, or choose another addr"})}
	}
	out := []finding{fine("listen", told{"serve 正在 " + c.Addr + " 运行", "serve runs on " + c.Addr})}
	if status != http.StatusOK {
		out[0] = failure("listen", told{fmt.Sprintf("serve 正在运行，但 /healthz 回答 %d", status), fmt.Sprintf("serve runs, but /healthz answers %d", status)}, told{"见 docs/runbook.md 的 /healthz", "see docs/runbook.md, /healthz"})
	}
	return append(out, healthFindings(answer)...)
}

// healthFindings tells of what the running process itself complains.
func healthFindings(answer map[string]json.RawMessage) []finding {
	var out []finding
	for _, name := range []string{"dictionary_refused", "sites_refused", "paused_sites", "drifting_sites", "digests_failing", "frontier"} {
		if raw := bytes.TrimSpace(answer[name]); len(raw) > 0 && !slices.Contains([]string{"null", "[]", "{}", `""`}, string(raw)) {
			text := string(raw)
			if runes := []rune(text); len(runes) > 300 {
				text = string(runes[:300]) + "…"
			}
			out = append(out, warning("healthz."+name, same(printable(text)), told{"见 docs/runbook.md 的 /healthz", "see docs/runbook.md, /healthz"}))
		}
	}
	return out
}

// maxHealth bounds an answer of /healthz.
const maxHealth = 1 << 20

// askHealth asks the process that serves on this machine for its /healthz.
func askHealth(ctx context.Context, c config) (int, map[string]json.RawMessage, error) {
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return 0, nil, fmt.Errorf("addr %q: %w", c.Addr, err)
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = "127.0.0.1"
		if err == nil && a.Is6() {
			host = "::1"
		}
	}
	tr := &http.Transport{Proxy: nil, DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	scheme := "http"
	if c.TLS.CertFile != "" {
		scheme = "https"
		if tr.TLSClientConfig, err = ownCertificate(c.TLS); err != nil {
			return 0, nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+"/healthz", nil)
	if err != nil {
		return 0, nil, err
	}
	if a, err := netip.ParseAddr(host); err == nil && !a.IsLoopback() {
		req.Host = "localhost" // the pages answer to names they know
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxHealth))
	if err != nil {
		return 0, nil, err
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(raw, &answer); err != nil || answer["status"] == nil {
		return 0, nil, fmt.Errorf("%s://%s/healthz is no answer of qingyuan (status %d)", scheme, c.Addr, resp.StatusCode)
	}
	return resp.StatusCode, answer, nil
}

// ownCertificate trusts the very certificate of the config, whatever name it is
// for: the other end is this machine.
func ownCertificate(t tlsConfig) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, VerifyConnection: func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 || !bytes.Equal(cs.PeerCertificates[0].Raw, pair.Certificate[0]) {
			return x509.UnknownAuthorityError{}
		}
		return nil
	}}, nil
}

// probe is doctor -alive and doctor -ready, for images without a shell.
func probe(ctx context.Context, c config, ready bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	status, answer, err := askHealth(ctx, c)
	if err != nil {
		return fmt.Errorf("serve does not answer: %w", err)
	}
	if ready && status != http.StatusOK {
		return fmt.Errorf("not ready: status %d, store %s", status, printable(string(answer["store"])))
	}
	return nil
}

// checkMailServer greets the mail server and logs in; it sends nothing.
func checkMailServer(ctx context.Context, c config) []finding {
	if c.Mail.Host == "" {
		return nil
	}
	server, err := c.Mail.smtp()
	if err == nil {
		err = server.Greet(ctx)
	}
	if err != nil {
		return []finding{failed("mail", told{"邮件服务器不接受我们", "the mail server does not take us"}, err,
			told{"检查 mail 的 host、port、tls、ca_file、user 和密码文件", "check host, port, tls, ca_file, user and password file of mail:"})}
	}
	return []finding{fine("mail", told{c.Mail.Host + " 应答，登录成功（没有发信）", c.Mail.Host + " answers and lets us in (nothing was sent)"})}
}

// checkTime looks whether this machine knows its zones and has a believable clock.
func checkTime(_ context.Context, _ config) []finding {
	for _, zone := range []string{"Asia/Shanghai", "Asia/Urumqi", "UTC"} {
		if _, err := time.LoadLocation(zone); err != nil {
			return []finding{failed("time", told{"时区无法读取", "a time zone cannot be read"}, err, told{"重新安装程序：时区内置于其中", "install the program again: it brings the zones along"})}
		}
	}
	now := time.Now()
	if now.Year() < 2026 {
		return []finding{failure("time", told{"时钟显示 " + now.Format(time.RFC3339), "the clock says " + now.Format(time.RFC3339)}, told{"用 NTP 校时：时间写入证据和审计", "set it by NTP: it stands in evidence and audit"})}
	}
	return []finding{fine("time", told{"现在是 " + now.In(shanghai()).Format("2006-01-02 15:04:05 -07:00"), "it is " + now.In(shanghai()).Format("2006-01-02 15:04:05 -07:00")})}
}

// checkLimits looks at how many files and connections may be open.
func checkLimits(_ context.Context, c config) []finding {
	limit, ok := openFiles()
	if !ok {
		return nil
	}
	want := uint64(1024 + 8*c.Crawl.Workers)
	text := told{fmt.Sprintf("可同时打开 %d 个文件，需要 %d", limit, want), fmt.Sprintf("%d files may be open, %d are wanted", limit, want)}
	if limit < want {
		return []finding{warning("limits", text, told{"systemd：LimitNOFILE=65536；容器：ulimits.nofile", "systemd: LimitNOFILE=65536; containers: ulimits.nofile"})}
	}
	return []finding{fine("limits", text)}
}

// joinTold puts texts one behind the other.
func joinTold(texts ...told) told {
	var zh, en []string
	for _, t := range texts {
		zh, en = append(zh, t.zh), append(en, t.en)
	}
	return told{strings.Join(zh, "；"), strings.Join(en, "; ")}
}
