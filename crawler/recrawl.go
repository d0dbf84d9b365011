package crawler

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// SourceRecrawl says when the pages of one site are fetched again; what is 0 is
// as Recrawl says.
type SourceRecrawl struct {
	Min   time.Duration `yaml:"min"`   // no page sooner, unless a list says that its thread was replied to
	Max   time.Duration `yaml:"max"`   // every page at the latest
	Known int           `yaml:"known"` // a list's next page is asked for unless so many rows at its end are known; 3 by default
}

const defaultKnown = 3

func (c *sourceCheck) checkRecrawl() {
	r := &c.src.Recrawl
	if r.Known == 0 {
		r.Known = defaultKnown
	}
	const shortest, longest = time.Minute, 365 * 24 * time.Hour
	for _, d := range []struct {
		key   string
		value time.Duration
	}{{"min", r.Min}, {"max", r.Max}} {
		if d.value != 0 && (d.value < shortest && !c.onlyLoopback() || d.value < 0 || d.value > longest) {
			c.add(fmt.Sprintf("recrawl.%s %s is not between %s and %s", d.key, d.value, shortest, longest), "write a time such as 5m or 336h", "recrawl", d.key)
		}
	}
	if r.Min > 0 && r.Max > 0 && r.Max < r.Min {
		c.add(fmt.Sprintf("recrawl.max %s is shorter than recrawl.min %s", r.Max, r.Min), "swap them", "recrawl", "max")
	}
	if r.Known < 1 || r.Known > 1000 {
		c.add(fmt.Sprintf("recrawl.known is %d", r.Known), "write how many known rows end the look at older list pages, from 1 to 1000", "recrawl", "known")
	}
}

// recrawlOf is the crawl's Recrawl with what the site's config puts over it.
func (c *Crawler) recrawlOf(s *Source) Recrawl {
	r := c.opts.Recrawl
	if s.Recrawl.Min > 0 {
		r.Min, r.List = s.Recrawl.Min, s.Recrawl.Min
	}
	if s.Recrawl.Max > 0 {
		r.Max = s.Recrawl.Max
	}
	r.Min, r.List = min(r.Min, r.Max), min(r.List, r.Max)
	return r
}

// changeRate estimates how often a page changes, in changes a millisecond,
// from visits: the time since the visit before, in milliseconds, negative when
// the page had changed.
//
// It is the estimator of Cho and Garcia-Molina (Estimating frequency of change,
// ACM Transactions on Internet Technology 3(3), 2003) for a page whose changes
// are a Poisson process and are seen only as "changed since" at irregular
// visits: the λ at which Σ I/(e^λI − 1) over the changed equals Σ I over the
// unchanged, with their correction, half an unchanged visit more. With visits
// at regular times that is their −log((n−X+0.5)/(n+0.5))/I. Without it a page
// that had changed at each visit would be taken to change without end. 0 when
// no visit saw a change.
func changeRate(visits []int64) float64 {
	var changed []float64
	var unchanged, sum float64
	for _, v := range visits {
		d := max(math.Abs(float64(v)), 1)
		sum += d
		if v < 0 {
			changed = append(changed, d)
		} else {
			unchanged += d
		}
	}
	if len(changed) == 0 {
		return 0
	}
	unchanged += 0.5 * sum / float64(len(visits))
	missed := func(rate float64) float64 {
		total := -unchanged
		for _, d := range changed {
			total += d / math.Expm1(rate*d)
		}
		return total // falls as rate grows
	}
	low, high := math.Log(1e-13), math.Log(100.0)
	for range 60 {
		if mid := (low + high) / 2; missed(math.Exp(mid)) > 0 {
			low = mid
		} else {
			high = mid
		}
	}
	return math.Exp((low + high) / 2)
}

// maxVisits is how many visits of a page are remembered: enough for an
// estimate, few enough to follow a page that grows quiet.
const maxVisits = 12

// pageNote is what the frontier remembers of a page.
type pageNote struct {
	At     int64    `json:"t"`           // last fetch, Unix milliseconds
	Visits []int64  `json:"v,omitempty"` // see changeRate; newest last
	Hash   string   `json:"h,omitempty"` // of what the page said
	Posts  []string `json:"p,omitempty"` // ids of the posts, in page order
	Newest int64    `json:"n,omitempty"` // latest date of a post, Unix seconds
	Hit    int64    `json:"f,omitempty"` // when a post was last flagged, Unix seconds
	Gone   int      `json:"g,omitempty"` // how many times in a row the page was gone
}

// threadNote is what the frontier remembers of a thread.
type threadNote struct {
	Mark string `json:"m,omitempty"` // what a list last said of it
	Last string `json:"l,omitempty"` // its last known page
	No   int    `json:"n,omitempty"` // the number of that page
	Hit  int64  `json:"f,omitempty"` // when one of its posts was last flagged, Unix seconds
	// Lost are posts that stood at an edge of a page and stand there no more:
	// gone, or moved to the page before.
	Lost map[string]int `json:"x,omitempty"` // id → the page's number
}

func pageKey(taskID string) string { return "page:" + taskID }

// readNote reads a note; one that is damaged counts as none, for all it holds
// is found out again.
func readNote[T any](text string) (note T) {
	if json.Unmarshal([]byte(text), &note) != nil {
		var none T
		return none
	}
	return note
}

func writeNote(note any) string {
	text, err := json.Marshal(note)
	if err != nil {
		return "" // numbers and texts only: cannot happen
	}
	return string(text)
}

// visit adds a visit to the note and returns how long ago the one before was;
// 0 when there was none.
func (n *pageNote) visit(now time.Time, changed bool) time.Duration {
	at := now.UnixMilli()
	since := at - n.At
	first := n.At == 0
	n.At = at
	if first || since <= 0 {
		return 0
	}
	v := since
	if changed {
		v = -since
	}
	n.Visits = append(n.Visits, v)
	if over := len(n.Visits) - maxVisits; over > 0 {
		n.Visits = n.Visits[over:]
	}
	return time.Duration(since) * time.Millisecond
}

// wait says when to come back: at the first visit after start, then when a
// change is to be expected, at most twice as long as the last time. After a
// change it is at most half as long, and not longer than the change is old, as
// far as the page tells (0: it does not): forums are quiet for weeks and then
// busy, and the estimate alone would follow too slowly.
func (n *pageNote) wait(since, start, recent, least, most time.Duration) time.Duration {
	wait := start
	if since > 0 {
		wait = 2 * since
		if n.Visits[len(n.Visits)-1] < 0 {
			wait = since / 2
			if recent > 0 {
				wait = min(wait, recent)
			}
		}
		if rate := changeRate(n.Visits); rate > 0 {
			if expected := 1 / rate; expected < float64(wait/time.Millisecond) {
				wait = time.Duration(expected * float64(time.Millisecond))
			}
		}
	}
	return min(max(wait, least), most)
}
