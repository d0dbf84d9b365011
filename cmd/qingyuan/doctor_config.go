package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"qingyuan/accounts"
	"qingyuan/crawler"
	"qingyuan/strictyaml"
)

// mistakesAsFindings gives each mistake of an error a line of its own.
func mistakesAsFindings(err error) []finding { return mistakes("config", err) }

func mistakes(check string, err error) []finding {
	var ms strictyaml.Mistakes
	if !errors.As(err, &ms) {
		return []finding{failure(check, same(printable(err.Error())), told{"改正后运行 qingyuan check", "mend it, then run: qingyuan check"})}
	}
	var out []finding
	for _, m := range ms {
		out = append(out, failure(check, same(printable(m.Error())), told{"改正后运行 qingyuan check", "mend it, then run: qingyuan check"}))
	}
	return out
}

// checkSites loads the site configs; whether live sites still fit them is for
// qingyuan site check.
func checkSites(_ context.Context, c config) []finding {
	if _, err := os.Stat(c.Sites); err != nil {
		return []finding{failed("sites", told{"没有站点配置目录", "there is no folder of site configs"}, err, told{"在配置中设置 sites，或用 site new 生成", "set sites: in the config, or write one with: qingyuan site new URL"})}
	}
	sources, err := crawler.LoadSources(os.DirFS(c.Sites))
	if err != nil {
		return mistakes("sites", prefixed(c.Sites, err))
	}
	if len(sources) == 0 {
		return []finding{failure("sites", told{c.Sites + " 中没有站点配置", "there is no site config in " + c.Sites}, told{"用 qingyuan site new URL 生成一个", "write one with: qingyuan site new URL"})}
	}
	return []finding{fine("sites", told{fmt.Sprintf("%d 个站点", len(sources)), fmt.Sprintf("%d sites", len(sources))})}
}

// checkJudge loads dictionaries and model; their examples are for qingyuan check.
func checkJudge(_ context.Context, c config) []finding {
	judge, err := openClassifier(c)
	if err != nil {
		return mistakes("dictionaries", prefixed(c.Dictionaries, err))
	}
	d := judge.Dictionary()
	return []finding{fine("dictionaries", told{fmt.Sprintf("%d 个类别，词典版本 %s", len(d.Categories), d.Version), fmt.Sprintf("%d categories, dictionary %s", len(d.Categories), d.Version)})}
}

func checkSubscriptions(_ context.Context, c config) []finding {
	subs, err := loadSubscriptions(c)
	if err != nil {
		return mistakes("subscriptions", prefixed(c.Subscriptions, errors.Unwrap(err)))
	}
	if len(subs) == 0 {
		return nil
	}
	return []finding{fine("subscriptions", told{fmt.Sprintf("%d 个订阅", len(subs)), fmt.Sprintf("%d subscriptions", len(subs))})}
}

// checkLogins tells of pages that anybody, or nobody, may use.
func checkLogins(ctx context.Context, c config) []finding {
	file := accountsFile(c)
	if _, err := os.Stat(file); err != nil {
		return loginsWithout(c)
	}
	db, err := accounts.Open(ctx, file, nil)
	if err != nil {
		return []finding{failed("accounts", told{"无法读取用户", "the users cannot be read"}, err, told{"见 docs/runbook.md 的“恢复”", "see docs/runbook.md, restore"})}
	}
	defer db.Close()
	var out []finding
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
		out = append(out, failure("accounts", told{fmt.Sprintf("其他用户可以读取 %s（%04o）", file, info.Mode().Perm()), fmt.Sprintf("others may read %s (%04o)", file, info.Mode().Perm())}, same("chmod 600 "+file)))
	}
	users, err := db.Users(ctx)
	if err != nil {
		return append(out, failed("accounts", told{"无法读取用户", "the users cannot be read"}, err, told{"见 docs/runbook.md 的“恢复”", "see docs/runbook.md, restore"}))
	}
	required, err := loginRequired(ctx, c, db)
	if err != nil || required == "off" {
		return append(out, loginsWithout(c)...)
	}
	for _, u := range users {
		if u.Role == accounts.RoleAdmin && u.HasLogin && !u.Disabled {
			return append(out, fine("accounts", told{fmt.Sprintf("需要登录，%d 个用户", len(users)), fmt.Sprintf("logins are required, %d users", len(users))}))
		}
	}
	return append(out, warning("accounts", told{"没有可以登录的管理员", "no admin can log in"}, told{"serve 启动时会打印一个链接；或运行 qingyuan user link admin", "serve prints a link when it starts; or run: qingyuan user link admin"}))
}

// loginsWithout is for pages that have no users yet, or ask for no login.
func loginsWithout(c config) []finding {
	if c.Accounts.Required == "off" && !loopbackAddr(c.Addr) {
		return []finding{warning("accounts", told{"页面对外开放而不要求登录", "the pages are open beyond loopback and ask for no login"},
			told{"设 accounts.required: auto，除非前面的代理负责认证", "set accounts.required: auto, unless a proxy before them authenticates"})}
	}
	if c.Accounts.Required == "on" || c.Accounts.Required == "auto" && !loopbackAddr(c.Addr) {
		return []finding{fine("accounts", told{"需要登录；第一次启动时会打印管理员链接", "logins are required; the first start prints a link for the admin"})}
	}
	return []finding{fine("accounts", told{"只在本机，不要求登录", "on this machine only, no login asked"})}
}
