package accounts

import "fmt"

// word returns the text for a key in a language.
func word(lang, key string) (string, error) {
	w, ok := words[key]
	if !ok {
		return key, fmt.Errorf("there is no text %q", key)
	}
	if lang == "en" {
		return w[1], nil
	}
	return w[0], nil
}

// words in Chinese and English.
var words = map[string][2]string{
	"product": {"清源", "Qingyuan"}, "back": {"返回", "Back"}, "logout": {"退出登录", "Log out"},
	"title.login": {"登录", "Log in"}, "title.welcome": {"设置密码", "Set a password"}, "title.account": {"我的账号", "My account"}, "title.users": {"用户", "Users"}, "title.problem": {"提示", "Notice"},
	"name": {"用户名", "User name"}, "password": {"密码", "Password"}, "again": {"再输入一次", "Once more"}, "old": {"现在的密码", "Present password"}, "new": {"新密码", "New password"},
	"role": {"角色", "Role"}, "role.analyst": {"研判员", "Analyst"}, "role.operator": {"运营", "Operator"}, "role.investigator": {"侦办", "Investigator"}, "role.admin": {"管理员", "Admin"},
	"login": {"登录", "Log in"}, "set": {"设置并登录", "Set and log in"}, "change": {"修改密码", "Change password"}, "rule": {"至少 %d 个字符；长比复杂重要。", "At least %d characters; length matters more than signs."},
	"welcome.for": {"账号", "Account"}, "tokens": {"接口令牌", "API tokens"}, "token.help": {"供程序访问 /api/ 与导出；只显示一次。", "For programs that use /api/ and exports; shown once."},
	"token.label": {"用途", "For"}, "token.days": {"有效天数", "Days"}, "token.make": {"新建令牌", "Make a token"}, "token.revoke": {"吊销", "Revoke"}, "token.expires": {"到期", "Expires"}, "token.used": {"最近使用", "Last used"},
	"token.new": {"请立即复制，离开本页后无法再看到：", "Copy it now; it is not shown again:"}, "scope.read": {"读取", "read"}, "scope.decide": {"研判", "decide"}, "scope.export": {"导出", "export"},
	"user.make": {"新建用户", "Add a user"}, "user.save": {"保存", "Save"}, "user.link": {"发放设置密码链接", "New password link"}, "user.disabled": {"停用", "Disabled"}, "user.last": {"最近登录", "Last login"}, "user.never": {"从未", "never"},
	"user.waiting": {"尚未设置密码", "no password yet"}, "user.linkfor": {"把这个链接交给 %s，24 小时内有效，只能用一次：", "Give this link to %s; it works once, within 24 hours:"},
	"done.password": {"密码已修改，其他登录已失效。", "The password is changed; other sessions have ended."}, "done.revoked": {"令牌已吊销。", "The token is revoked."}, "done.user": {"已保存。", "Saved."},
	"problem.refused": {"用户名或密码不正确。", "Name or password is not right."}, "problem.many": {"失败次数过多，请 %d 秒后再试。", "Too many failures; try again in %d seconds."},
	"problem.weak":   {"密码不符合要求：至少 %d 个字符，不含用户名，不是简单重复或连续按键。", "The password is not accepted: at least %d characters, without the user name, no mere repetition or run of keys."},
	"problem.differ": {"两次输入不一致。", "The two do not agree."}, "problem.exists": {"这个用户名已被使用。", "This name is taken."}, "problem.last_admin": {"这是最后一名管理员，请先指定另一名。", "This is the last admin; make another one first."},
	"problem.no_user": {"没有这个用户，或已停用。", "There is no such user, or he is disabled."}, "problem.internal": {"系统出错，详情见日志。", "Something failed; the log says what."}, "problem.forbidden": {"您的角色不能进行这项操作。", "Your role may not do this."},
	"problem.cross": {"表单来自其他网站，已拒绝。", "The form came from another site and was refused."}, "problem.form": {"表单内容有误。", "The form is not right."}, "problem.link": {"链接无效、已用过或已过期，请向管理员索取新的链接。", "The link is not valid, was used or has expired; ask an admin for a new one."},
	"problem.unauthorized": {"需要有效的令牌或登录。", "A valid token or a login is needed."}, "problem.unauthorized.remedy": {"请发送 Authorization: Bearer 令牌；在“我的账号”中新建。", "Send Authorization: Bearer TOKEN; make one under /account."},
	"problem.forbidden.remedy": {"请向管理员申请角色，或新建含所需权限的令牌。", "Ask an admin for another role, or make a token with the scope that is needed."}, "scope.audit": {"审计", "audit trail"},
	"problem.token": {"请至少选择一项权限，用途不超过 100 字节。", "Choose at least one scope; the label holds up to 100 bytes."}, "problem.name": {"用户名为小写字母、数字、点和连字符，最多 64 个。", "A user name holds up to 64 lower-case letters, digits, dots and hyphens."},
}
