package render

import (
	"fmt"
	"os/exec"
	"strings"
)

// Names are those under which Chromium is looked for.
func Names() []string {
	return []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
}

// Find returns the path of Chromium: path itself when it is not "", else the
// first of Names on the PATH. The error is ErrNoBrowser, or names path.
func Find(path string) (string, error) {
	if path != "" {
		found, err := exec.LookPath(path)
		if err != nil {
			return "", fmt.Errorf("%w (%s: %w)", ErrNoBrowser, path, err)
		}
		return found, nil
	}
	for _, name := range Names() {
		if found, err := exec.LookPath(name); err == nil {
			return found, nil
		}
	}
	return "", ErrNoBrowser
}

// fence says what is round a browser besides its flags.
type fence struct {
	network bool // an empty network of its own
	sandbox bool // Chromium's own sandbox
}

// flagsOf are the flags of one browser. The first group is what keeps it from
// the network, whatever a page does: names resolve to nothing, and everything
// that is no request stopped by us goes to a proxy whose name does not resolve
// either, loopback included.
func flagsOf(o Options, profile string, f fence) []string {
	flags := []string{
		"--host-resolver-rules=MAP * ~NOTFOUND",
		"--proxy-server=socks5://nowhere.invalid:9",
		"--proxy-bypass-list=<-loopback>",
		"--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
		"--webrtc-ip-handling-policy=disable_non_proxied_udp",
		"--disable-quic",
		"--dns-prefetch-disable",
		"--disable-background-networking",
		"--disable-component-update",
		"--disable-domain-reliability",
		"--disable-sync",
		"--disable-client-side-phishing-detection",
		"--no-pings",
		"--no-service-autorun",

		// One process shows all frames of a page, so that each is in our hands.
		"--disable-site-isolation-trials",
		"--disable-features=" + strings.Join([]string{
			"IsolateOrigins", "site-per-process", "DnsOverHttps", "AsyncDns", "Translate", "OptimizationHints", "MediaRouter",
			"DialMediaRouteProvider", "CertificateTransparencyComponentUpdater", "NetworkTimeServiceQuerying", "Prerender2",
			"BackForwardCache", "AutofillServerCommunication", "SpareRendererForSitePerProcess", "FedCm", "WebBluetooth", "WebUSB",
		}, ","),
		"--block-new-web-contents",
		"--disable-extensions",
		"--disable-default-apps",
		"--disable-component-extensions-with-background-pages",
		"--disable-plugins",
		"--disable-print-preview",
		"--disable-notifications",
		"--disable-speech-api",
		"--disable-3d-apis",
		"--deny-permission-prompts",
		"--no-first-run",
		"--no-default-browser-check",
		"--disable-breakpad",
		"--disable-crash-reporter",
		"--disable-hang-monitor",
		"--disable-prompt-on-repost",
		"--metrics-recording-only",
		"--password-store=basic",
		"--use-mock-keychain",

		"--headless=new",
		"--remote-debugging-pipe",
		"--disable-gpu",
		"--disable-dev-shm-usage", // /dev/shm is small in containers
		"--hide-scrollbars",
		"--mute-audio",
		"--force-color-profile=srgb",
		"--font-render-hinting=none",
		"--lang=zh-CN",
		"--accept-lang=zh-CN,zh",
		"--disk-cache-size=1",
		"--media-cache-size=1",
		"--renderer-process-limit=2",
		fmt.Sprintf("--js-flags=--max-old-space-size=%d", max(64, o.Memory/2>>20)),
		fmt.Sprintf("--window-size=%d,%d", viewportWidth, viewportHeight),
		"--user-data-dir=" + profile,
	}
	if o.UserAgent != "" {
		flags = append(flags, "--user-agent="+o.UserAgent)
	}
	if !f.sandbox {
		flags = append(flags, "--no-sandbox")
	}
	return append(flags, "about:blank")
}
