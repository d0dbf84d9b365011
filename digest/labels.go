package digest

// labels are the words of a digest by language. Both have the same keys, and
// the same verbs under each key.
var labels = map[string]map[string]string{"zh": zh, "en": en}

var zh = map[string]string{
	"lang": "zh-CN", "title": "清源日报", "comma": "、", "semicolon": "；", "colon": "：", "before": "前一日 %d",
	"window": "%s 00:00 至 %s 00:00（UTC%s），按入库时间统计", "partial": "当日尚未结束，统计截至 %s；前一日为全天数字。", "query": "线索范围：%s",
	"empty.posts":  "当日没有新增或改动的帖子入库。若非预期，请检查采集是否正常。",
	"empty.hits":   "当日入库 %d 条帖子，没有命中。",
	"title.period": "清源摘要", "dash": "——", "more": "其余 %d 行见研判页面", "period": "%s 至 %s", "before.period": "上一期 %d", "continuing": "另有 %d 组此前已报、没有新情况，共 %d 条命中，不再列出。",
	"window.period": "%s 至 %s（UTC%s），按入库时间统计", "partial.period": "本期尚未结束，统计截至 %s；上一期为完整一期的数字。",
	"empty.posts.period": "本期没有新增或改动的帖子入库。若非预期，请检查采集是否正常。", "empty.hits.period": "本期入库 %d 条帖子，没有命中。",
	"weekday.0": "星期日", "weekday.1": "星期一", "weekday.2": "星期二", "weekday.3": "星期三", "weekday.4": "星期四", "weekday.5": "星期五", "weekday.6": "星期六",

	"posts": "入库帖子", "hits": "命中", "severe": "高与严重", "new": "新联系方式", "dismissed": "已排除", "contacts": "联系方式 %d 个",
	"h.category": "命中类别", "h.severity": "严重程度", "h.stance": "帖子立场", "h.status": "研判进度", "h.hits": "值得查看的命中", "h.new": "首次出现的联系方式",
	"h.top": "出现最多的联系方式", "h.groups": "相近命中", "h.sites": "采集来源", "h.notes": "说明",
	"cap": "共 %d 条", "cap.cut": "显示前 %d 条，共 %d 条", "folded": "%d 条命中，相近的合并后 %d 条", "none": "无",
	"score": "得分 %.2f", "copies": "另有 %d 条相近", "edited": "内容有改动", "gone": "原帖已删除", "untitled": "（无文字）",
	"published": "发布于 %s", "reason": "理由",
	"col.contact": "联系方式", "col.hits": "命中", "col.sites": "站点", "col.before": "此前命中", "col.group": "内容", "col.size": "条数", "col.by": "依据",
	"col.site": "站点", "col.posts": "帖子", "first": "首次", "unknown": "未比对",
	"by.contact": "相同联系方式", "by.text": "相近正文", "by.both": "相同联系方式或相近正文", "silent": "今日无新增",
	"reason.offers": "招揽“%s”", "reason.words": "命中词：%s", "reason.evasion": "伪装：%s", "reason.contact": "联系：%s", "reason.nocontact": "未见联系方式",

	"note.hit":           "命中指被判为招揽且未被研判人员排除的帖子；类别按每条命中的首要类别计。仅为线索，是否违法以研判与调查为准。",
	"note.before":        "前一日数字按索引当前状态统计；帖子改动后计入改动当日。",
	"note.before.period": "上一期数字按索引当前状态统计；帖子改动后计入改动当期。", "note.silenced": "已静默 %d 条命中，未计入以上各项。",
	"note.group":   "相近命中按相同联系方式、相近正文合并，大幅改写并更换联系方式的不在其中。",
	"note.masked":  "联系方式已遮盖，完整内容请登录研判页面查看。摘录中的网址已改写，不可点击。",
	"note.shown":   "本报含完整联系方式，请勿外传。摘录中的网址已改写，不可点击。",
	"note.scan":    "当日命中较多：类别、联系方式与合并只统计了得分最高的 %d 条，共 %d 条。",
	"note.contact": "有 %d 个联系方式未与此前命中比对，不计入首次出现。",

	"severity.low": "低", "severity.medium": "中", "severity.high": "高", "severity.critical": "严重",
	"stance.offer": "招揽", "stance.report": "报道", "stance.warning": "警示", "stance.question": "提问/求助", "stance.legal": "合法机构", "stance.other": "其他",
	"status.new": "待研判", "status.reviewing": "研判中", "status.confirmed": "已确认", "status.dismissed": "已排除", "status.handed_over": "已移送", "status.accepted": "已受理", "status.returned": "已退回",
	"contact.wechat": "微信", "contact.qq": "QQ", "contact.qq_group": "QQ群", "contact.phone": "电话", "contact.telegram": "Telegram", "contact.whatsapp": "WhatsApp",
	"contact.email": "邮箱", "contact.url": "网址", "contact.bank_card": "银行卡", "contact.alipay": "支付宝", "contact.weibo": "微博", "contact.douyin": "抖音", "contact.xiaohongshu": "小红书",
	"evasion.fullwidth": "全角字符", "evasion.styled_letters": "花体字母", "evasion.traditional": "繁体字", "evasion.zero_width": "零宽字符", "evasion.combining_marks": "附加符号",
	"evasion.compat_ideograph": "兼容汉字", "evasion.homoglyph": "形近字母", "evasion.separators": "插入分隔符", "evasion.filler": "插入杂字", "evasion.emoji": "表情代字",
	"evasion.vertical": "竖排", "evasion.repeated": "叠字", "evasion.html_entities": "HTML 编码", "evasion.hidden_text": "隐藏文字", "evasion.reversed": "倒写",
	"evasion.split_radicals": "拆字", "evasion.homophone": "谐音字", "evasion.lookalike": "形近字", "evasion.pinyin": "拼音", "evasion.initials": "拼音缩写",
	"evasion.mars_text": "火星文", "evasion.bopomofo": "注音符号", "evasion.upside_down": "倒置字母", "evasion.digit_disguise": "数字变形",
}

var en = map[string]string{
	"lang": "en", "title": "Qingyuan daily digest", "comma": ", ", "semicolon": "; ", "colon": ": ", "before": "day before: %d",
	"window": "%s 00:00 to %s 00:00 (UTC%s), by time of ingestion", "partial": "The day is not over: counted up to %s; the day before is a whole day.", "query": "Hits narrowed by: %s",
	"empty.posts":  "No new or edited post entered the index on this day. If that is not expected, check that the crawl is running.",
	"empty.hits":   "%d posts entered the index on this day; none was flagged.",
	"title.period": "Qingyuan digest", "dash": " – ", "more": "%d more lines on the triage pages", "period": "%s to %s", "before.period": "period before: %d", "continuing": "%d more groups were told of before and hold no news: %d hits, not listed again.",
	"window.period": "%s to %s (UTC%s), by time of ingestion", "partial.period": "The period is not over: counted up to %s; the one before is whole.",
	"empty.posts.period": "No new or edited post entered the index in this period. If that is not expected, check that the crawl is running.", "empty.hits.period": "%d posts entered the index in this period; none was flagged.",
	"weekday.0": "Sunday", "weekday.1": "Monday", "weekday.2": "Tuesday", "weekday.3": "Wednesday", "weekday.4": "Thursday", "weekday.5": "Friday", "weekday.6": "Saturday",

	"posts": "Posts", "hits": "Hits", "severe": "High, critical", "new": "New contacts", "dismissed": "Dismissed", "contacts": "%d contacts",
	"h.category": "Hits by category", "h.severity": "Severity", "h.stance": "Stance of posts", "h.status": "Triage", "h.hits": "Hits worth a look", "h.new": "Contacts seen for the first time",
	"h.top": "Most frequent contacts", "h.groups": "Near-identical hits", "h.sites": "Sources crawled", "h.notes": "Notes",
	"cap": "%d in all", "cap.cut": "first %d of %d", "folded": "%d hits, %d after folding near-identical ones", "none": "none",
	"score": "score %.2f", "copies": "%d more like it", "edited": "edited", "gone": "gone from its site", "untitled": "(no text)",
	"published": "published %s", "reason": "Why",
	"col.contact": "Contact", "col.hits": "Hits", "col.sites": "Sites", "col.before": "Earlier hits", "col.group": "Text", "col.size": "Hits", "col.by": "Shared",
	"col.site": "Site", "col.posts": "Posts", "first": "new", "unknown": "not compared",
	"by.contact": "contact", "by.text": "text", "by.both": "contact or text", "silent": "nothing new today",
	"reason.offers": "offers %s", "reason.words": "matched: %s", "reason.evasion": "disguised by: %s", "reason.contact": "contact: %s", "reason.nocontact": "none found",

	"note.hit":           "A hit is a post judged to offer such a service and not dismissed by an analyst; categories count each hit's strongest. These are leads: whether a law was broken is for triage and investigation to say.",
	"note.before":        "The day before is counted as the index has it now; an edited post counts on the day of its edit.",
	"note.before.period": "The period before is counted as the index has it now; an edited post counts in the period of its edit.", "note.silenced": "%d hits are silenced and not counted above.",
	"note.group":   "Hits are folded by a shared contact or a near-identical text; copies that are mostly reworded and name another contact are not found.",
	"note.masked":  "Contacts are masked; log in to the triage pages to see them. Addresses in excerpts are rewritten so that they cannot be clicked.",
	"note.shown":   "This digest shows contacts in full: do not pass it on. Addresses in excerpts are rewritten so that they cannot be clicked.",
	"note.scan":    "Many hits: categories, contacts and folding cover the %d with the highest scores, of %d.",
	"note.contact": "%d contacts were not compared with earlier hits and are not counted as new.",

	"severity.low": "low", "severity.medium": "medium", "severity.high": "high", "severity.critical": "critical",
	"stance.offer": "offer", "stance.report": "report", "stance.warning": "warning", "stance.question": "question", "stance.legal": "legal", "stance.other": "other",
	"status.new": "new", "status.reviewing": "reviewing", "status.confirmed": "confirmed", "status.dismissed": "dismissed", "status.handed_over": "handed over", "status.accepted": "accepted", "status.returned": "returned",
	"contact.wechat": "WeChat", "contact.qq": "QQ", "contact.qq_group": "QQ group", "contact.phone": "phone", "contact.telegram": "Telegram", "contact.whatsapp": "WhatsApp",
	"contact.email": "e-mail", "contact.url": "address", "contact.bank_card": "bank card", "contact.alipay": "Alipay", "contact.weibo": "Weibo", "contact.douyin": "Douyin", "contact.xiaohongshu": "Xiaohongshu",
	"evasion.fullwidth": "full-width forms", "evasion.styled_letters": "styled letters", "evasion.traditional": "traditional characters", "evasion.zero_width": "zero-width characters", "evasion.combining_marks": "combining marks",
	"evasion.compat_ideograph": "compatibility ideographs", "evasion.homoglyph": "look-alike letters", "evasion.separators": "separators", "evasion.filler": "filler characters", "evasion.emoji": "emoji",
	"evasion.vertical": "vertical writing", "evasion.repeated": "repeated characters", "evasion.html_entities": "HTML entities", "evasion.hidden_text": "hidden text", "evasion.reversed": "reversed text",
	"evasion.split_radicals": "split characters", "evasion.homophone": "homophones", "evasion.lookalike": "look-alike characters", "evasion.pinyin": "pinyin", "evasion.initials": "pinyin initials",
	"evasion.mars_text": "Martian script", "evasion.bopomofo": "bopomofo", "evasion.upside_down": "upside-down letters", "evasion.digit_disguise": "disguised digits",
}
