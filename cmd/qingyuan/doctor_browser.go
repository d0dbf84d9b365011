package main

import (
	"context"
	"os"
	"os/exec"
	"strings"

	"qingyuan/crawler"
	"qingyuan/crawler/render"
)

// checkBrowser looks for Chromium when a site or evidence wants one. It asks for
// its version alone: whether its fences stand is told on /healthz by the crawl.
func checkBrowser(ctx context.Context, c config) []finding {
	sources, err := crawler.LoadSources(os.DirFS(c.Sites))
	if err != nil {
		return nil // the check of the sites says so
	}
	wanted, needed := c.Evidence.Screenshot, ""
	for _, s := range sources {
		wanted = wanted || s.MayUseBrowser()
		if s.NeedsBrowser() {
			needed = s.Name
		}
	}
	if !wanted {
		return nil
	}
	remedy := told{"安装 Debian 软件包 chromium，或设 browser.path", "install Debian's package chromium, or set browser.path"}
	path, err := render.Find(c.Browser.Path)
	switch {
	case err != nil && needed != "":
		return []finding{failed("browser", told{"站点 " + needed + " 必须用浏览器（render: always）", "the site " + needed + " cannot be read without a browser (render: always)"}, err, remedy)}
	case err != nil:
		f := failed("browser", told{"没有浏览器，页面和截图将缺失", "there is no browser: drawn pages and pictures will be missing"}, err, remedy)
		f.status = findingWarn
		return []finding{f}
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return []finding{failed("browser", told{path + " 无法运行", path + " does not run"}, err, remedy)}
	}
	about := printable(strings.TrimSpace(string(out[:min(len(out), 200)])))
	return []finding{fine("browser", told{about + "（" + path + "）", about + " (" + path + ")"})}
}
