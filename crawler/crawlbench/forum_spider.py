"""The crawl of crawlbench by Scrapy: the same pages, the same rows."""

import sys

import scrapy
from scrapy.crawler import CrawlerProcess


class Forum(scrapy.Spider):
    name = "forum"
    start_urls = sys.argv[2:]
    pages = 0
    posts = 0

    def parse(self, response):
        Forum.pages += 1
        title = "".join(response.css("#thread_subject ::text").getall()).strip()
        for p in response.css("div[id^=post_]"):
            text = lambda css: "".join(p.css(css + " ::text").getall()).strip()
            yield {
                "id": p.attrib["id"],
                "floor": text("a[id^=postnum]"),
                "title": title,
                "author": text(".authi a.xw1"),
                "author_url": p.css(".authi a.xw1::attr(href)").get(),
                "time": text("em[id^=authorposton]"),
                "text": text("td[id^=postmessage_]"),
                "region": text(".authi"),
            }
            Forum.posts += 1
        for href in response.css("a.s.xst::attr(href), a.nxt::attr(href)").getall():
            yield response.follow(href.removesuffix("&extra=page%3D1"), self.parse)


process = CrawlerProcess(
    {
        "LOG_ENABLED": False,
        "TELNETCONSOLE_ENABLED": False,
        "ROBOTSTXT_OBEY": False,
        "DOWNLOAD_DELAY": 0,
        "CONCURRENT_REQUESTS": int(sys.argv[1]),
        "CONCURRENT_REQUESTS_PER_DOMAIN": int(sys.argv[1]),
        "COOKIES_ENABLED": False,
    }
)
process.crawl(Forum)
process.start()
print(f"{Forum.pages} pages, {Forum.posts} posts")
