package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"qingyuan/crawler"
)

// sessionDir is where the cookies of sites and the log of their use are kept.
func sessionDir(c config) string { return filepath.Join(c.Data, "sessions") }

// runSession lists the sessions, or lets one that is stopped go on.
func runSession(_ context.Context, std stdio, args []string) error {
	f := newFlags(std, "session", "[resume SITE]", "data", "lang")
	asJSON := f.Bool("json", false, "print one JSON object a session")
	c, err := f.parse(args)
	if err != nil {
		return err
	}
	switch {
	case f.NArg() == 0:
		return listSessions(std, c, *asJSON)
	case f.NArg() == 2 && f.Arg(0) == "resume":
		name := filepath.Base(f.Arg(1))
		if name != f.Arg(1) {
			return misusef("%q is no name of a site", f.Arg(1))
		}
		if err := crawler.ResumeSession(sessionDir(c), name, whoAmI()); err != nil {
			return err
		}
		_, err := fmt.Fprintf(std.out, sessionText(c, "%s goes on; a crawl that runs takes it up within a minute\n", "%s 已恢复；正在运行的采集一分钟内生效\n"), name)
		return err
	}
	return misusef("write session, or session resume SITE")
}

func listSessions(std stdio, c config, asJSON bool) error {
	list, err := crawler.Sessions(sessionDir(c))
	if err != nil {
		return err
	}
	if len(list) == 0 && !asJSON {
		_, err := fmt.Fprint(std.out, sessionText(c, "no site is read under a session\n", "没有站点使用登录会话\n"))
		return err
	}
	for _, s := range list {
		if asJSON {
			if err := json.NewEncoder(std.out).Encode(s); err != nil {
				return err
			}
			continue
		}
		state := sessionText(c, "open", "正常")
		switch {
		case !s.Stopped.IsZero():
			state = fmt.Sprintf(sessionText(c, "stopped since %s: %s (%s); qingyuan session resume %s", "自 %s 起停止：%s（%s）；qingyuan session resume %s"),
				s.Stopped.In(shanghai()).Format(time.DateTime), printable(s.Why), printable(s.URL), s.Source)
		case s.Failed > 0:
			state = fmt.Sprintf(sessionText(c, "%d logins in vain, next not before %s: %s", "连续 %d 次登录无效，%s 之前不再尝试：%s"), s.Failed, s.Next.In(shanghai()).Format(time.DateTime), printable(s.Why))
		}
		if _, err := fmt.Fprintf(std.out, "%s  %s  %s\n", s.Source, printable(s.Account), state); err != nil {
			return err
		}
	}
	return nil
}

func sessionText(c config, en, zh string) string {
	if c.Language == "en" {
		return en
	}
	return zh
}

// whoAmI names the person at the keyboard, for the log of use.
func whoAmI() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return fmt.Sprintf("user %d", os.Getuid())
}
