package crawler

import (
	"strings"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
)

var (
	formTags      = cascadia.MustCompile("form")
	passwordField = cascadia.MustCompile(`input[type="password" i]`)
	formFields    = cascadia.MustCompile("input[name], select[name], textarea[name], button[name]")
	metaTags      = cascadia.MustCompile("meta[charset], meta[content]")
)

// maxFields is how many fields of a form are sent.
const maxFields = 200

// inputs gives each field that a browser would send when the form's button is
// pressed.
func inputs(form *html.Node, give func(name, value string)) {
	pressed := false
	for i, n := range formFields.MatchAll(form) {
		if i >= maxFields {
			return
		}
		name := attr(n, "name")
		if hasAttr(n, "disabled") || name == "" {
			continue
		}
		kind := strings.ToLower(attr(n, "type"))
		switch {
		case n.Data == "textarea":
			give(name, nodeText(n, textRules{}))
		case n.Data == "select":
			give(name, chosen(n))
		case n.Data == "button" && kind != "" && kind != "submit", kind == "reset", kind == "file", kind == "image", kind == "button":
		case n.Data == "button", kind == "submit":
			if !pressed {
				give(name, attr(n, "value"))
			}
			pressed = true
		case kind == "checkbox", kind == "radio":
			if hasAttr(n, "checked") {
				value := attr(n, "value")
				if value == "" {
					value = "on"
				}
				give(name, value)
			}
		default:
			give(name, attr(n, "value"))
		}
	}
}

var optionTags = cascadia.MustCompile("option")

// chosen is the value of the selected option, or of the first.
func chosen(n *html.Node) string {
	first := true
	value := ""
	for _, o := range optionTags.MatchAll(n) {
		v := attr(o, "value")
		if !hasAttr(o, "value") {
			v = strings.TrimSpace(nodeText(o, textRules{}))
		}
		if hasAttr(o, "selected") {
			return v
		}
		if first {
			value, first = v, false
		}
	}
	return value
}

func hasAttr(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

// metaCharset is the charset that a page names for itself, which the site also
// expects its forms in.
func metaCharset(root *html.Node) string {
	for _, n := range metaTags.MatchAll(root) {
		if v := attr(n, "charset"); v != "" {
			return v
		}
		if !strings.EqualFold(attr(n, "http-equiv"), "content-type") {
			continue
		}
		if _, v, ok := strings.Cut(strings.ToLower(attr(n, "content")), "charset="); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
