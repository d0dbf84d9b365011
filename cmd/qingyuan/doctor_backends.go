package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	frontierredis "qingyuan/crawler/frontier/redis"
	"qingyuan/index/elastic"
)

// clockSoon is a difference of clocks that is worth a word: times of leases,
// evidence and audit are compared across machines.
const clockSoon = 5 * time.Second

// checkRedis asks Redis how it is set up; nothing without it.
func checkRedis(ctx context.Context, c config) []finding {
	if c.Frontier.Backend != "redis" {
		return nil
	}
	o, err := redisOptions(c, nil)
	var r frontierredis.Report
	if err == nil {
		o.Marker = ""
		r, err = frontierredis.Inspect(ctx, o)
	}
	if err != nil {
		return []finding{failed("redis", told{"无法使用 Redis", "Redis cannot be used"}, err, told{"检查 frontier.redis 的地址、用户、密码文件与 TLS；见 docs/redis.md", "check addresses, user, password file and TLS of frontier.redis; see docs/redis.md"})}
	}
	memory := fmt.Sprintf("%.1f MB", float64(r.Used)/(1<<20))
	if r.Max > 0 {
		memory += fmt.Sprintf(" / %.1f MB", float64(r.Max)/(1<<20))
	}
	out := []finding{fine("redis", told{fmt.Sprintf("%s，往返 %v，内存 %s，%d 个工作进程", r.Server, r.RoundTrip.Round(10*time.Microsecond), memory, r.Workers),
		fmt.Sprintf("%s, round trip %v, memory %s, %d workers", r.Server, r.RoundTrip.Round(10*time.Microsecond), memory, r.Workers)})}
	for _, f := range r.Findings {
		status := findingWarn
		if f.Severe {
			status = findingFail
		}
		// What to do stands behind the colon or semicolon of the text itself.
		out = append(out, finding{check: "redis." + f.Code, status: status, text: told{printable(f.ZH), printable(f.EN)}})
	}
	return out
}

// checkElastic asks Elasticsearch; nothing without it.
func checkElastic(ctx context.Context, c config) []finding {
	if c.Index.Backend != backendElastic {
		return nil
	}
	opts, err := elasticOptions(c)
	var e elastic.Examination
	if err == nil {
		e, err = elastic.Examine(ctx, opts)
	}
	if err != nil {
		return []finding{failed("elastic", told{"无法使用 Elasticsearch", "Elasticsearch cannot be used"}, err,
			told{"检查 index.elastic 的 urls、ca_file 或 fingerprint、密钥文件；见 docs/elasticsearch.md", "check urls, ca_file or fingerprint and key file of index.elastic; see docs/elasticsearch.md"})}
	}
	out := []finding{versionFinding(e)}
	out = append(out, clusterFindings(e)...)
	for _, a := range e.Aliases {
		out = append(out, aliasFinding(a))
	}
	return out
}

func versionFinding(e elastic.Examination) finding {
	about := strings.Join(e.Versions, ", ")
	for _, v := range e.Versions {
		if !strings.HasPrefix(v, "8.") {
			return failure("elastic", same("Elasticsearch "+printable(about)), told{"需要 Elasticsearch 8", "Elasticsearch 8 is needed"})
		}
	}
	if about == "" {
		about = "?"
	}
	text := told{fmt.Sprintf("Elasticsearch %s，%d 个数据节点", printable(about), e.Nodes), fmt.Sprintf("Elasticsearch %s, %d data nodes", printable(about), e.Nodes)}
	if e.License != "" {
		text = joinTold(text, told{"许可证 " + printable(e.License), "licence " + printable(e.License)})
	}
	if len(e.Versions) > 1 {
		return warning("elastic", text, told{"节点版本不一，请完成升级", "the nodes differ; finish the upgrade"})
	}
	return fine("elastic", text)
}

func clusterFindings(e elastic.Examination) []finding {
	var out []finding
	switch e.Health {
	case "red":
		out = append(out, failure("elastic.health", told{"集群状态 red：有主分片不可用", "the cluster is red: primary shards are missing"}, told{"查看 _cluster/allocation/explain", "see _cluster/allocation/explain"}))
	case "yellow":
		if e.Nodes > 1 {
			out = append(out, warning("elastic.health", told{"集群状态 yellow：有副本未分配", "the cluster is yellow: replicas are not assigned"}, told{"查看 _cluster/allocation/explain", "see _cluster/allocation/explain"}))
		}
	case "":
		out = append(out, warning("elastic.health", told{"无权查看集群状态", "the state of the cluster may not be asked"}, told{"给予 cluster:monitor", "grant cluster monitor"}))
	}
	if e.Ahead.Abs() > clockSoon {
		out = append(out, warning("elastic.clock", told{fmt.Sprintf("本机与 Elasticsearch 的时钟相差 %v", e.Ahead.Round(time.Second)), fmt.Sprintf("this machine's clock and that of Elasticsearch are %v apart", e.Ahead.Round(time.Second))},
			told{"用 NTP 校时", "keep both right with NTP"}))
	}
	// Elasticsearch's own marks: 85 % no new shards, 95 % read-only.
	disk := told{fmt.Sprintf("最满的节点磁盘已用 %.0f%%", e.Disk*100), fmt.Sprintf("the fullest node's disk is used to %.0f %%", e.Disk*100)}
	remedy := told{"扩容或增加节点；到 95% 索引变为只读", "enlarge it or add a node; at 95 % the index becomes read-only"}
	switch {
	case e.Disk >= 0.95:
		out = append(out, failure("elastic.disk", disk, remedy))
	case e.Disk >= 0.85:
		out = append(out, warning("elastic.disk", disk, remedy))
	}
	switch {
	case len(e.Missing) > 0:
		list := printable(strings.Join(e.Missing, ", "))
		out = append(out, failure("elastic.rights", told{"缺少权限：" + list, "rights are missing: " + list}, told{"按 docs/elasticsearch.md 授予", "grant them as docs/elasticsearch.md says"}))
	case e.Secured:
		out = append(out, fine("elastic.rights", told{"权限齐全", "no right is missing"}))
	default:
		out = append(out, warning("elastic.rights", told{"服务器不要求认证，或不回答权限", "the server asks for no login, or does not tell rights"}, told{"除非只在内网试用，请启用 xpack.security", "switch xpack.security on, unless this is a trial on a closed network"}))
	}
	return out
}

func aliasFinding(a elastic.AliasState) finding {
	check := "elastic." + a.Name[strings.LastIndex(a.Name, "-")+1:]
	switch {
	case errors.Is(a.Err, elastic.ErrNotSetUp):
		return failed(check, told{"别名、索引或模板不对", "alias, index or template is not as it must be"}, a.Err, told{"运行 qingyuan setup", "run: qingyuan setup"})
	case errors.Is(a.Err, elastic.ErrNewer):
		return failed(check, told{"由更新的版本建立", "it is of a newer version"}, a.Err, told{"使用那个版本的 qingyuan", "use that version of qingyuan"})
	case a.Err != nil:
		return failed(check, told{"无法检查 " + a.Name, a.Name + " cannot be checked"}, a.Err, told{"检查密钥与权限", "check the key and its rights"})
	}
	text := told{a.Name + " → " + a.Index, a.Name + " → " + a.Index}
	if a.Docs >= 0 {
		text = joinTold(text, told{fmt.Sprintf("%d 个文档", a.Docs), fmt.Sprintf("%d documents", a.Docs)})
	}
	return fine(check, text)
}
