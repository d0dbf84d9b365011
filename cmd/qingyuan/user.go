package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"qingyuan/accounts"
	"qingyuan/index"
	"qingyuan/strictyaml"
)

// accountsConfig is the accounts: section.
type accountsConfig struct {
	// Required is auto, on or off. auto: as soon as there is a user, or the pages
	// listen beyond loopback.
	Required string   `yaml:"required"`
	Proxies  []string `yaml:"proxies"` // whose X-Forwarded-For is believed: addresses or networks
	// MaskContacts are the roles from whom contacts are hidden until they ask for
	// them with a reason.
	MaskContacts []accounts.Role `yaml:"mask_contacts"`
}

// checkAccounts returns what is wrong with the accounts: section.
func checkAccounts(a accountsConfig, at func(problem, remedy string, path ...any) strictyaml.Mistake) strictyaml.Mistakes {
	for i, role := range a.MaskContacts {
		if !slices.Contains(accounts.Roles[:], role) {
			return strictyaml.Mistakes{at(fmt.Sprintf("%q is no role", role), "write some of analyst, operator, investigator, admin", "accounts", "mask_contacts", i)}
		}
	}
	_, err := a.proxies()
	if err != nil {
		return strictyaml.Mistakes{at(err.Error(), "write addresses or networks, such as 10.0.0.0/8", "accounts", "proxies")}
	}
	return nil
}

func (a accountsConfig) proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, p := range a.Proxies {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			addr, addrErr := netip.ParseAddr(p)
			if addrErr != nil {
				return nil, fmt.Errorf("%q is no address or network", p)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		out = append(out, prefix)
	}
	return out, nil
}

// openAccounts opens the users' file and settles whether logins are required.
func openAccounts(ctx context.Context, c *config) (*accounts.DB, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	file := filepath.Join(c.Data, "accounts.db")
	db, err := accounts.Open(ctx, file, nil)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(file, 0o600); err != nil {
		db.Close()
		return nil, fmt.Errorf("keeping the accounts to this user: %w", err)
	}
	if c.Accounts.Required, err = loginRequired(ctx, *c, db); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// loginRequired is "on" when the pages ask who is there, else "off".
func loginRequired(ctx context.Context, c config, db *accounts.DB) (string, error) {
	if c.Accounts.Required != "auto" {
		return c.Accounts.Required, nil
	}
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return "on", nil
	}
	if addr, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !addr.IsLoopback()) {
		return "on", nil
	}
	users, err := db.Users(ctx)
	if err != nil || len(users) > 0 {
		return "on", err
	}
	return "off", nil
}

// guardPages puts the login before the pages when one is required. invite, when
// not empty, is the link by which the first admin sets his password.
func guardPages(ctx context.Context, c config, db *accounts.DB, store index.Store, pages http.Handler, logger *slog.Logger) (guarded http.Handler, invite string, err error) {
	if c.Accounts.Required == "off" {
		return pages, "", nil
	}
	if invite, err = inviteAdmin(ctx, c, db); err != nil {
		return nil, "", err
	}
	proxies, err := c.Accounts.proxies()
	if err != nil {
		return nil, "", err
	}
	g, err := accounts.NewGuard(pages, accounts.Options{DB: db, Proxies: proxies, Secure: strings.HasPrefix(c.base(), "https://"), Language: c.Language, Logger: logger,
		Open: []string{"/digest/feed/", "/digest/unsubscribe", "/metrics"}, Shape: `<link rel="stylesheet" href="/assets/app.css"><link rel="icon" href="/assets/icon.svg">`,
		Trail: func(ctx context.Context, actor, action, note string) error {
			return store.AppendAudit(ctx, index.AuditRow{Actor: actor, Action: action, Note: note})
		}})
	return g, invite, err
}

// inviteAdmin makes sure that somebody can manage users: when no admin can log
// in it returns a link by which one can.
func inviteAdmin(ctx context.Context, c config, db *accounts.DB) (string, error) {
	users, err := db.Users(ctx)
	if err != nil {
		return "", err
	}
	for _, u := range users {
		if u.Role == accounts.RoleAdmin && u.HasLogin && !u.Disabled {
			return "", nil
		}
	}
	if err := db.Create(ctx, "admin", accounts.RoleAdmin); err != nil && !errors.Is(err, accounts.ErrExists) {
		return "", err
	}
	secret, err := db.Link(ctx, "admin")
	if err != nil {
		return "", fmt.Errorf("making the first admin's link: %w", err)
	}
	return c.base() + "/welcome/" + secret, nil
}

// hidesContacts is for triage.Options.MaskContacts: nil when nobody logs in or
// no role has contacts hidden from it.
func hidesContacts(a accountsConfig) func(*http.Request) bool {
	if a.Required != "on" || len(a.MaskContacts) == 0 {
		return nil
	}
	return func(r *http.Request) bool {
		u, ok := accounts.CurrentUser(r)
		return !ok || slices.Contains(a.MaskContacts, u.Role)
	}
}

// pageUser is for triage.Options.User: who logged in; without logins everybody
// is the analyst. Paths that need no login have a user, too, or they would be
// refused.
func pageUser(r *http.Request) string {
	if u, ok := accounts.CurrentUser(r); ok {
		return u.Name
	}
	return "analyst"
}

// runUser adds, lists and changes users.
func runUser(ctx context.Context, std stdio, args []string) error {
	usage := misusef("write qingyuan user list | add NAME [-role analyst|operator|investigator|admin] | link NAME | role NAME ROLE | disable NAME | enable NAME")
	if len(args) == 0 {
		return usage
	}
	f := newFlags(std, "user "+args[0], "[NAME]", "data")
	role := f.String("role", "analyst", "analyst, operator, investigator or admin")
	// The name may stand before the flags.
	rest, name := args[1:], ""
	if len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		name, rest = rest[0], rest[1:]
	}
	if args[0] == "role" && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		*role, rest = rest[0], rest[1:]
	}
	c, err := f.parse(rest)
	if err != nil {
		return err
	}
	if name == "" {
		name = f.Arg(0)
	}
	if name == "" && args[0] != "list" {
		return usage
	}
	db, err := openAccounts(ctx, &c)
	if err != nil {
		return err
	}
	defer db.Close()
	switch args[0] {
	case "list":
		return listUsers(ctx, std, db)
	case "add":
		if err := db.Create(ctx, name, accounts.Role(*role)); err != nil {
			return err
		}
		return printLink(ctx, std, c, db, name)
	case "link":
		return printLink(ctx, std, c, db, name)
	case "role", "disable", "enable":
		return changeUser(ctx, db, args[0], name, accounts.Role(*role))
	}
	return usage
}

func changeUser(ctx context.Context, db *accounts.DB, act, name string, role accounts.Role) error {
	users, err := db.Users(ctx)
	if err != nil {
		return err
	}
	for _, u := range users {
		if u.Name != name {
			continue
		}
		if act != "role" {
			return db.Change(ctx, name, u.Role, act == "disable")
		}
		return db.Change(ctx, name, role, u.Disabled)
	}
	return accounts.ErrNoUser
}

func listUsers(ctx context.Context, std stdio, db *accounts.DB) error {
	users, err := db.Users(ctx)
	if err != nil {
		return err
	}
	for _, u := range users {
		state := ""
		if u.Disabled {
			state = "disabled"
		} else if !u.HasLogin {
			state = "has no password yet"
		}
		last := "never"
		if !u.LastLogin.IsZero() {
			last = u.LastLogin.Format("2006-01-02 15:04")
		}
		fmt.Fprintf(std.out, "%-24s %-13s last login %-17s %s\n", u.Name, u.Role, last, state)
	}
	return nil
}

// printLink makes a link and shows it.
func printLink(ctx context.Context, std stdio, c config, db *accounts.DB, name string) error {
	secret, err := db.Link(ctx, name)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s sets a password here, once, within 24 hours:\n%s/welcome/%s\n", name, c.base(), secret)
	return err
}
