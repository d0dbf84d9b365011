package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"qingyuan/archive"
)

func accountsFile(c config) string { return filepath.Join(c.Data, "accounts.db") }

// Free space of the data folder's disk under which doctor warns and fails, as a
// part of the disk and in bytes: whichever is less. What cannot be archived is
// not acknowledged, so a full disk holds the crawl.
const (
	diskWarnPart, diskFailPart   = 0.10, 0.03
	diskWarnBytes, diskFailBytes = 20 << 30, 2 << 30
)

// checkData looks whether the data folder takes files, whole and for us alone.
func checkData(_ context.Context, c config) []finding {
	info, err := os.Stat(c.Data)
	if errors.Is(err, fs.ErrNotExist) {
		return []finding{warning("data", told{"数据目录 " + c.Data + " 还不存在", "the data folder " + c.Data + " does not exist yet"},
			told{"第一次 crawl 或 serve 会建立它；若已用过，请检查 data 或 -data", "the first crawl or serve makes it; if there was one, check data: or -data"})}
	}
	if err != nil || !info.IsDir() {
		return []finding{failure("data", told{c.Data + " 不是目录", c.Data + " is no folder"}, told{"检查 data 或 -data", "check data: or -data"})}
	}
	var out []finding
	if err := tryWriting(c.Data); err != nil {
		out = append(out, failed("data.write", told{"数据目录不可写", "the data folder takes no files"}, err,
			told{"检查属主、挂载选项和磁盘；以运行服务的用户执行 doctor", "check its owner, the mount and the disk; run doctor as the user of the service"}))
	} else {
		out = append(out, fine("data.write", told{c.Data + " 可写", c.Data + " takes files"}))
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		out = append(out, warning("data.mode", told{fmt.Sprintf("其他用户可以进入数据目录（%04o）", mode), fmt.Sprintf("others may look into the data folder (%04o)", mode)}, same("chmod 700 "+c.Data)))
	}
	return append(out, diskFinding("data.space", c.Data)...)
}

func tryWriting(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 4096))
	return errors.Join(err, f.Sync(), f.Close())
}

func diskFinding(check, dir string) []finding {
	free, total := diskSpace(dir)
	if total == 0 {
		return nil // this system does not tell
	}
	part := float64(free) / float64(total)
	text := told{fmt.Sprintf("磁盘剩余 %.1f GB（%.0f%%）", float64(free)/1e9, part*100), fmt.Sprintf("%.1f GB of the disk are free (%.0f %%)", float64(free)/1e9, part*100)}
	remedy := told{"扩容，或设 archive.keep_days 并运行 qingyuan archive retain；见 docs/runbook.md", "enlarge it, or set archive.keep_days and run: qingyuan archive retain; see docs/runbook.md"}
	switch {
	case part < diskFailPart && free < diskFailBytes:
		return []finding{failure(check, text, remedy)}
	case part < diskWarnPart && free < diskWarnBytes:
		return []finding{warning(check, text, remedy)}
	}
	return []finding{fine(check, text)}
}

// checkSQLite asks every SQLite file in the data folder whether it is sound.
func checkSQLite(ctx context.Context, c config) []finding {
	names, err := filepath.Glob(filepath.Join(c.Data, "*.db"))
	if err != nil {
		return []finding{failed("sqlite", told{"无法列出数据库", "the databases cannot be listed"}, err, told{})}
	}
	var out []finding
	for _, name := range names {
		problem, err := quickCheck(ctx, name)
		base := filepath.Base(name)
		restore := told{"停止程序，保留此文件，从备份恢复；见 docs/runbook.md", "end the program, keep the file, restore a backup; see docs/runbook.md"}
		switch {
		case ctx.Err() != nil:
			return out // timed says so
		case err != nil:
			out = append(out, failed("sqlite."+base, told{"无法读取", "it cannot be read"}, err, restore))
		case problem != "":
			out = append(out, failure("sqlite."+base, told{"已损坏：" + printable(problem), "damaged: " + printable(problem)}, restore))
		default:
			out = append(out, fine("sqlite."+base, told{"完好（quick_check）", "sound (quick_check)"}))
		}
	}
	return out
}

// quickCheck is SQLite's own; "" when the file is sound.
func quickCheck(ctx context.Context, file string) (string, error) {
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(file), RawQuery: "mode=ro&_pragma=busy_timeout(5000)"}
	if !filepath.IsAbs(file) {
		dsn.Opaque, dsn.Path = (&url.URL{Path: filepath.ToSlash(file)}).EscapedPath(), ""
	}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return "", err
	}
	defer db.Close()
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&answer); err != nil {
		return "", err
	}
	if answer == "ok" {
		return "", nil
	}
	return answer, nil
}

// checkArchive looks at the key and the end of the chain; every byte is for
// qingyuan archive verify.
func checkArchive(ctx context.Context, c config) []finding {
	if !c.Archive.Enabled {
		return []finding{warning("archive", told{"archive.enabled 为 false：命中的原文不留存", "archive.enabled is false: the originals of hits are not kept"},
			told{"需要证据时设为 true", "set it to true when evidence is wanted"})}
	}
	dir := archiveDir(c)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return []finding{fine("archive", told{"还没有归档；第一次抓取会建立它和签名密钥", "there is none yet; the first crawl makes it and its key"})}
	}
	head, err := archive.CheckHead(dir)
	if err != nil {
		return []finding{failed("archive", told{"归档的密钥或清单末尾有问题", "the archive's key or the end of its manifests is not as it should be"}, err,
			told{"运行 qingyuan archive verify；恢复 key.pem 见 docs/runbook.md", "run: qingyuan archive verify; to bring back key.pem see docs/runbook.md"})}
	}
	out := []finding{fine("archive", told{fmt.Sprintf("密钥完好，清单末尾是第 %d 号事件 %s", head.Seq, head.Hash), fmt.Sprintf("the key is sound, the manifests end with event %d, %s", head.Seq, head.Hash)})}
	if ctx.Err() == nil {
		out = append(out, diskOfArchive(c, dir)...)
	}
	return out
}

// diskOfArchive tells of the archive's disk when it is another than that of the
// data folder.
func diskOfArchive(c config, dir string) []finding {
	dataFree, dataTotal := diskSpace(c.Data)
	free, total := diskSpace(dir)
	if total == dataTotal && free == dataFree {
		return nil
	}
	return diskFinding("archive.space", dir)
}
