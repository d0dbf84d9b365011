package redis_test

import (
	"reflect"
	"strings"
	"testing"

	"qingyuan/crawler/frontier"
	"qingyuan/crawler/frontier/redis"
)

func FuzzCodec(f *testing.F) {
	f.Add("https://a.example/thread-1-1-1.html", "a.example", "https://a.example/", "thread", 3, `W/"7-中"`, "Mon, 02 Mar 2026 09:00:00 GMT", "c0ffee", 200)
	f.Add("http://a.example:8080", "a.example:8080", "", "", -1, "", "Mon, 02 Mar 2026 9:00:00 GMT", "C0FFEE", 0)
	f.Add("ftp://x", "https://a", "http://ab", "页", 1<<40, "\xff", "yesterday", "abc", -5)
	f.Fuzz(func(t *testing.T, url, host, parent, page string, depth int, etag, modified, hash string, status int) {
		k := frontier.Task{URL: url, Host: host, Parent: parent, Page: page, Depth: depth}
		o := frontier.Outcome{ETag: etag, LastModified: modified, ContentHash: hash, Status: status}
		gotTask, gotOut, err := redis.Codec(k, o)
		if err != nil || gotTask != k || !reflect.DeepEqual(gotOut, o) {
			t.Errorf("packed and unpacked: %+v %+v, %v\nwant %+v %+v", gotTask, gotOut, err, k, o)
		}
		redis.Unpack(url + etag + strings.Repeat(hash, 2))
	})
}
