package main

// The markup around what is said.
const (
	head = `<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8" />
<meta name="renderer" content="webkit" />
<title>{title} - 综合版块 - 论坛 - Powered by Discuz!</title>
<meta name="keywords" content="{title}" />
<meta name="description" content="{title} ,论坛" />
<link rel="stylesheet" type="text/css" href="data/cache/style_1_common.css?x7Q" /><link rel="stylesheet" type="text/css" href="data/cache/style_1_forum_viewthread.css?x7Q" />
<script type="text/javascript">var STYLEID = '1', STATICURL = 'static/', IMGDIR = 'static/image/common', VERHASH = 'x7Q', charset = 'utf-8', discuz_uid = '0', cookiepre = 'k2Lm_2132_', cookiedomain = '', cookiepath = '/', showusercard = '1', attackevasive = '0', disallowfloat = 'newthread', creditnotice = '1|威望|,2|金钱|,3|贡献|', defaultstyle = '', JSPATH = 'data/cache/', CSSPATH = 'data/cache/style_', DYNAMICURL = '';</script>
<script src="data/cache/common.js?x7Q" type="text/javascript"></script>
</head>
<body id="nv_forum" class="pg_viewthread" onkeydown="if(event.keyCode==27) return false;">
<div id="append_parent"></div><div id="ajaxwaitid"></div>
<div id="toptb" class="cl"><div class="wp"><div class="z"><a href="javascript:;" onclick="setHomepage('/');">设为首页</a><a href="/" onclick="addFavorite(this.href, '论坛');return false;">收藏本站</a></div></div></div>
<div id="hd"><div class="wp"><div class="hdc cl"><h2><a href="./" title="论坛"><img src="static/image/common/logo.png" alt="论坛" class="boardlogo" id="boardlogo" border="0" /></a></h2>
<form method="post" autocomplete="off" id="lsform" action="member.php?mod=logging&amp;action=login&amp;loginsubmit=yes&amp;infloat=yes&amp;lssubmit=yes" onsubmit="return lsSubmit();"><div class="fastlg cl"><table cellspacing="0" cellpadding="0"><tr><td><label for="ls_username">账号</label></td><td><input type="text" name="username" id="ls_username" class="px vm xg1" tabindex="901" /></td><td class="fastlg_l"><a href="javascript:;" onclick="showWindow('login', 'member.php?mod=logging&amp;action=login&amp;viewlostpw=1')">找回密码</a></td></tr></table></div></form></div>
<ul id="nv" class="cl">
`
	foot = `</div>
<div id="ft" class="wp cl"><div id="flk" class="y"><p><a href="archiver/">Archiver</a><span class="pipe">|</span><a href="forum.php?mobile=yes">手机版</a><span class="pipe">|</span><a href="misc.php?mod=mobile">小黑屋</a></p><p class="xs0">GMT+8, 2026-11-22 20:30<span id="debuginfo">, Processed in 0.021 second(s), 9 queries .</span></p></div>
<div id="frt"><p>Powered by <strong>Discuz!</strong> <em>X3.5</em></p><p class="xs0">&copy; 2001-2026</p></div></div>
<script type="text/javascript">var fastpostmsg = 0; document.onkeyup = function(e){keyPageScroll(e, 0, 1, 'forum.php?mod=viewthread', 1);}</script>
</body>
</html>
`
	// tbody id, tid, subject, uid, minute, replies, day
	listRow = `<tbody id="normalthread_%d"><tr>
<td class="icn"><a href="forum.php?mod=viewthread&amp;extra=page%%3D1" title="有新回复 - 新窗口打开" target="_blank"><i class="fico-thread fic6 fc-l"></i></a></td>
<th class="new"><a href="javascript:;" class="showcontent y" title="更多操作" onclick="CONTENT_TID='x';CONTENT_ID='normalthread';showMenu({'ctrlid':this.id,'menuid':'content_menu'})"></a>
<em>[<a href="forum.php?mod=forumdisplay&amp;filter=typeid&amp;typeid=1">交流</a>]</em> <a href="forum.php?mod=viewthread&amp;tid=%d&amp;extra=page%%3D1" onclick="atarget(this)" class="s xst">%s</a></th>
<td class="by"><cite><a href="home.php?mod=space&amp;uid=%d" c="1">网友</a></cite><em><span>2026-9-1 12:0%d</span></em></td>
<td class="num"><a href="forum.php?mod=viewthread&amp;extra=page%%3D1" class="xi2">%d</a><em>310</em></td>
<td class="by"><cite><a href="home.php?mod=space&amp;username=x" c="1">网友</a></cite><em><a href="forum.php?mod=redirect&amp;goto=lastpost#lastpost">2026-10-%d 13:00</a></em></td>
</tr></tbody>
`
	postBlock = `<div id="post_{pid}" ><table id="pid{pid}" class="plhin" summary="pid{pid}" cellspacing="0" cellpadding="0">
<tr>
<td class="pls" rowspan="2">
<div id="favatar{pid}" class="pls cl favatar">
<div class="pi"><div class="authi"><a href="home.php?mod=space&amp;uid={uid}" target="_blank" class="xw1">网友{uid}号</a></div></div>
<div class="p_pop blk bui card_gender_0" id="userinfo{pid}" style="display: none; margin-top: -11px;"><div class="m z"><div id="userinfo{pid}_ma"></div></div><div class="i y"><div><strong><a href="home.php?mod=space&amp;uid={uid}" target="_blank" class="xi2">网友{uid}号</a></strong><em>当前离线</em></div><dl class="cl"><dt>积分</dt><dd><a href="home.php?mod=space&uid={uid}&do=profile" target="_blank" class="xi2">{floor}</a></dd></dl></div></div>
<div><div class="avatar" onmouseover="showauthor(this, 'userinfo{pid}')"><a href="home.php?mod=space&amp;uid={uid}" class="avtm" target="_blank"><img src="uc_server/avatar.php?uid={uid}&size=middle" class="user_avatar"></a></div></div>
<p><em><a href="home.php?mod=spacecp&amp;ac=usergroup&amp;gid=10" target="_blank">新手上路</a></em></p>
<div id="g_up{pid}_menu" class="tip tip_4" style="display: none;"><div class="tip_horn"></div><div class="tip_c">新手上路, 积分 {floor}, 距离下一级还需 50 积分</div></div>
<dl class="pil cl"><dt>积分</dt><dd><a href="home.php?mod=space&uid={uid}&do=profile" target="_blank" class="xi2">{floor}</a></dd></dl>
</div>
</td>
<td class="plc">
<div class="pi"><strong><a href="forum.php?mod=redirect&goto=findpost&ptid={tid}&pid={pid}" id="postnum{pid}" onclick="setCopy(this.href, '帖子地址复制成功');return false;"><em>{floor}</em><sup>#</sup></a></strong>
<div class="pti"><div class="authi"><img class="authicn vm" id="authicon{pid}" src="static/image/common/online_member.gif" /><em id="authorposton{pid}">发表于 2026-10-{day} 13:{min}:00</em><span class="pipe">|</span><a href="forum.php?mod=viewthread&amp;tid={tid}&amp;page=1&amp;authorid={uid}" rel="nofollow">只看该作者</a></div></div></div>
<div class="pct"><div class="pcb"><div class="t_fsz"><table cellspacing="0" cellpadding="0"><tr><td class="t_f" id="postmessage_{pid}">
{text}</td></tr></table></div><div id="comment_{pid}" class="cm"></div></div></div>
</td></tr>
<tr class="ad"><td class="pls"></td><td class="plc"><div class="po hin"><div class="pob cl"><em><a class="fastre" href="forum.php?mod=post&amp;action=reply&amp;tid={tid}&amp;repquote={pid}" onclick="showWindow('reply', this.href)">回复</a></em></div></div></td></tr>
</table></div>
`
)
