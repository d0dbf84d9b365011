package main

import (
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
)

// print writes the figures of each program, and the ratios round by round.
func (b *bench) print(programs []*program) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%d pages of 30 kB with %d posts each, %d forums, %d at a time; the forums run in a process of their own\n\n",
		programs[0].all[0].pages, postsPerPage, b.sites, b.workers)
	fmt.Fprintln(w, "program\tpages/CPU s\tmin\tmax\tCPU ms/page\tpages/s\tstart CPU s\tRSS MB\t")
	for _, p := range programs {
		var wall, rss []float64
		for _, o := range p.all {
			wall = append(wall, float64(o.pages)/o.wall.Seconds())
			rss = append(rss, float64(o.rss)/1e6)
		}
		m := median(p.rate)
		start := p.few.cpu.Seconds() - float64(p.few.pages)/m
		fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%.2f\t%.0f\t%.2f\t%.0f\t%s\n", p.name, m, slices.Min(p.rate), slices.Max(p.rate), 1000/m, median(wall), start, slices.Max(rss), p.note)
	}
	fmt.Fprintln(w, "\nratio, round by round\tmedian\tmin\tmax\t")
	for _, p := range programs {
		for _, q := range programs {
			if p.peer || !q.peer {
				continue
			}
			var ratios []float64
			for i := range p.rate {
				ratios = append(ratios, p.rate[i]/q.rate[i])
			}
			fmt.Fprintf(w, "%s / %s\t%.2f\t%.2f\t%.2f\t\n", p.name, q.name, median(ratios), slices.Min(ratios), slices.Max(ratios))
		}
	}
	return w.Flush()
}

func median(list []float64) float64 {
	s := slices.Sorted(slices.Values(list))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}
