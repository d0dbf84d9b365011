package triage

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// What a user or a token may ask of the API unless Options say otherwise.
const (
	defaultRate  = 20  // requests a second in the long run
	defaultBurst = 200 // requests at once after a rest
)

// maxCallers is how many callers are remembered before those that have rested
// long enough to start afresh are forgotten.
const maxCallers = 1000

// limiter bounds how often each caller asks.
type limiter struct {
	mu      sync.Mutex
	rate    rate.Limit
	burst   int
	callers map[string]*rate.Limiter
}

func newLimiter(perSecond float64, burst int) *limiter {
	if perSecond <= 0 {
		perSecond = defaultRate
	}
	if burst <= 0 {
		burst = defaultBurst
	}
	return &limiter{rate: rate.Limit(perSecond), burst: burst, callers: map[string]*rate.Limiter{}}
}

// wait is 0 when the caller may ask now, else how long until he may.
func (l *limiter) wait(caller string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.callers) >= maxCallers && l.callers[caller] == nil {
		for name, c := range l.callers {
			if c.TokensAt(now) >= float64(l.burst) {
				delete(l.callers, name)
			}
		}
	}
	c := l.callers[caller]
	if c == nil {
		c = rate.NewLimiter(l.rate, l.burst)
		l.callers[caller] = c
	}
	reservation := c.ReserveN(now, 1)
	delay := reservation.DelayFrom(now)
	if delay > 0 {
		reservation.CancelAt(now)
	}
	return delay
}

// withinRate answers with 429 and Retry-After when the caller asks too often.
// Only what programs ask for is counted. Each token has its own allowance,
// apart from its user's in the browser.
func (s *Server) withinRate(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasPrefix(r.URL.Path, "/api/") && !strings.HasPrefix(r.URL.Path, "/export") {
		return true
	}
	caller := s.user(r)
	if token := r.Header.Get("Authorization"); token != "" {
		sum := sha256.Sum256([]byte(token))
		caller += " " + hex.EncodeToString(sum[:8])
	}
	wait := s.limiter.wait(caller, s.now())
	if wait == 0 {
		return true
	}
	seconds := int(math.Ceil(wait.Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	if strings.HasPrefix(r.URL.Path, "/api/") {
		s.refuse(w, r, http.StatusTooManyRequests, "rate", seconds)
	} else {
		s.problem(w, r, http.StatusTooManyRequests, "error.often")
	}
	return false
}
