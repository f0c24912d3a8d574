//! Pages that are no JSON: XML, CSV and lines, over every end.

use http::Method;
use unpage::config::Config;

use super::client::{self, Version};
use super::proxy::{Proxy, collection};
use super::streams::ask;
use super::upstream::{Reply, Upstream, answer};

/// One case: keys of the collection, its pages, and the stream; `Err` has a part of the message or log that says why
/// there is none.
struct Case {
    keys: &'static str,
    pages: Pages,
    stream: Result<&'static str, &'static str>,
}

const S3: &str = "records = \"ListBucketResult.Contents\"\nencoding = \"xml\"\nrecords_optional = true\n\
    pagination = { type = \"cursor\", next = \"ListBucketResult.NextContinuationToken\", param = \"continuation-token\", \
    more = { path = \"ListBucketResult.IsTruncated\", while = \"true\" } }";
const ATOM: &str = "records = \"feed.entry\"\nencoding = \"xml\"\n\
    pagination = { type = \"next_url\", next = { links = \"feed.link\" } }";
const RSS: &str = "records = \"rss.channel.item\"\nencoding = \"xml\"\nrecords_optional = true\n\
    pagination = { type = \"page\", param = \"paged\", end = { status = 404 } }";
const CSV: &str = "records = \"rows\"\nencoding = \"csv\"\npagination = \"link_header\"";
const CSV_OFFSET: &str =
    "records = \"rows\"\nencoding = \"csv\"\npagination = { type = \"offset\", param = \"offset\" }";

const CASES: &[Case] = &[
    Case {
        keys: S3,
        pages: &[
            (
                "",
                "",
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><KeyCount>2</KeyCount><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated><Contents><Key>a &amp; b</Key><Size>1</Size></Contents><Contents><Key>c</Key><Size>2</Size></Contents><NextContinuationToken>t+/=</NextContinuationToken></ListBucketResult>",
            ),
            (
                "continuation-token=t%2B%2F%3D",
                "",
                "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>d</Key><Size>3</Size></Contents></ListBucketResult>",
            ),
        ],
        stream: Ok(
            "{\"Key\":\"a & b\",\"Size\":\"1\"}\n{\"Key\":\"c\",\"Size\":\"2\"}\n{\"Key\":\"d\",\"Size\":\"3\"}\n",
        ),
    },
    // An empty bucket has no element of its records.
    Case {
        keys: S3,
        pages: &[(
            "",
            "",
            "<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>",
        )],
        stream: Ok(""),
    },
    // A flag that says more without a token, and a truncated page.
    Case {
        keys: S3,
        pages: &[(
            "",
            "",
            "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a</Key></Contents></ListBucketResult>",
        )],
        stream: Err("says that there is more"),
    },
    // The same without records; a list of folders alone (`delimiter`) goes on.
    Case {
        keys: S3,
        pages: &[("", "", "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>")],
        stream: Err("says that there is more"),
    },
    Case {
        keys: S3,
        pages: &[
            (
                "",
                "",
                "<ListBucketResult><IsTruncated>true</IsTruncated><CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes><NextContinuationToken>t</NextContinuationToken></ListBucketResult>",
            ),
            (
                "continuation-token=t",
                "",
                "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>b</Key></Contents><NextContinuationToken>u</NextContinuationToken></ListBucketResult>",
            ),
            (
                "continuation-token=u",
                "",
                "<ListBucketResult><IsTruncated>true</IsTruncated><CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes><NextContinuationToken>v</NextContinuationToken></ListBucketResult>",
            ),
            (
                "continuation-token=v",
                "",
                "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>d</Key></Contents></ListBucketResult>",
            ),
        ],
        stream: Ok("{\"Key\":\"b\"}\n{\"Key\":\"d\"}\n"),
    },
    Case {
        keys: S3,
        pages: &[("", "", "<ListBucketResult><Contents><Key>a</Key></Contents><Contents><Key>b")],
        stream: Err("the text ends within"),
    },
    // An error under status 200 is no empty bucket.
    Case {
        keys: S3,
        pages: &[(
            "",
            "",
            "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>",
        )],
        stream: Err("no element `ListBucketResult`"),
    },
    Case {
        keys: S3,
        pages: &[(
            "",
            "",
            "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><ListBucketResult><Contents>&x;</Contents></ListBucketResult>",
        )],
        stream: Err("document type"),
    },
    Case {
        keys: ATOM,
        pages: &[
            (
                "",
                "",
                "<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>t</title><link rel=\"self\" href=\"/feed\"/><link rel=\"next\" href=\"/feed?after=1\"/><entry><id>0</id></entry><entry><id>1</id></entry></feed>",
            ),
            (
                "after=1",
                "",
                "<feed><link rel=\"next\" href=\"?after=2\"/><entry><id>2</id><category term=\"a\"/><category term=\"b\"/></entry><entry><id>3</id></entry></feed>",
            ),
            ("after=2", "", "<feed><link rel=\"self\" href=\"/feed\"/><entry><id>4</id></entry></feed>"),
        ],
        stream: Ok(
            "{\"id\":\"0\"}\n{\"id\":\"1\"}\n{\"id\":\"2\",\"category\":[{\"@term\":\"a\"},{\"@term\":\"b\"}]}\n{\"id\":\"3\"}\n{\"id\":\"4\"}\n",
        ),
    },
    // A feed without entries is an error, unless records may be absent.
    Case {
        keys: ATOM,
        pages: &[("", "", "<feed><title>t</title></feed>")],
        stream: Err("no record array at `feed.entry`"),
    },
    Case {
        keys: RSS,
        pages: &[
            (
                "paged=1",
                "",
                "<rss version=\"2.0\"><channel><title>t</title><item><guid>1</guid></item><item><guid>2</guid></item></channel></rss>",
            ),
            ("paged=2", "", "<rss version=\"2.0\"><channel><item><guid>3</guid></item></channel></rss>"),
        ],
        stream: Ok("{\"guid\":\"1\"}\n{\"guid\":\"2\"}\n{\"guid\":\"3\"}\n"),
    },
    Case {
        keys: CSV,
        pages: &[
            ("", "</orders?page=2>; rel=\"next\"", "id,name\r\n1,\"a, \"\"b\"\"\"\r\n2,ü\r\n"),
            ("page=2", "", "id,name\n3,\"x\ny\""),
        ],
        stream: Ok(
            "{\"id\":\"1\",\"name\":\"a, \\\"b\\\"\"}\n{\"id\":\"2\",\"name\":\"ü\"}\n{\"id\":\"3\",\"name\":\"x\\ny\"}\n",
        ),
    },
    Case {
        keys: CSV,
        pages: &[("", "</orders?page=2>; rel=\"next\"", "id,name\n1,a\n"), ("page=2", "", "name,id\nb,2\n")],
        stream: Err("the columns are"),
    },
    Case { keys: CSV, pages: &[("", "", "id,name\n1,a\n2\n")], stream: Err("row 2 has 1 fields") },
    Case { keys: CSV, pages: &[("", "", "")], stream: Err("the page is empty") },
    // One line is a list without rows, or an error message.
    Case { keys: CSV, pages: &[("", "", "Service unavailable\n")], stream: Err("no rows below it") },
    Case { keys: CSV, pages: &[("", "", "{\"error\": \"rate limited\"}")], stream: Err("markup or JSON") },
    Case { keys: CSV, pages: &[("", "", "<html><body>Log in</body></html>\n")], stream: Err("markup or JSON") },
    // Prefixes are free in XML: a page of others is not empty, and a flag is not absent.
    Case {
        keys: RSS,
        pages: &[
            ("paged=1", "", "<rss><channel><item><guid>1</guid></item></channel></rss>"),
            ("paged=2", "", "<rss xmlns:x='u'><channel><x:item><guid>2</guid></x:item></channel></rss>"),
        ],
        stream: Err("is configured"),
    },
    Case {
        keys: S3,
        pages: &[(
            "",
            "",
            "<ListBucketResult xmlns:x='u'><x:IsTruncated>true</x:IsTruncated><Contents><Key>a</Key></Contents></ListBucketResult>",
        )],
        stream: Err("is configured"),
    },
    // Flags that are neither true nor false.
    Case {
        keys: S3,
        pages: &[(
            "",
            "",
            "<ListBucketResult><IsTruncated>1</IsTruncated><Contents><Key>a</Key></Contents></ListBucketResult>",
        )],
        stream: Err("of another type"),
    },
    Case {
        keys: S3,
        pages: &[(
            "",
            "",
            "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents><IsTruncated>true</IsTruncated></ListBucketResult>",
        )],
        stream: Err("of another type"),
    },
    Case {
        keys: S3,
        pages: &[
            (
                "",
                "",
                "<ListBucketResult><IsTruncated>\n true \n</IsTruncated><Contents><Key> a</Key></Contents><NextContinuationToken>\n t\n</NextContinuationToken></ListBucketResult>",
            ),
            (
                "continuation-token=t",
                "",
                "<ListBucketResult><IsTruncated>False</IsTruncated><Contents><Key>b</Key></Contents></ListBucketResult>",
            ),
        ],
        stream: Ok("{\"Key\":\" a\"}\n{\"Key\":\"b\"}\n"),
    },
    Case {
        keys: CSV_OFFSET,
        pages: &[("offset=0", "", "id\n1\n2\n"), ("offset=2", "", "id\n3\n"), ("offset=3", "", "id\n")],
        stream: Ok("{\"id\":\"1\"}\n{\"id\":\"2\"}\n{\"id\":\"3\"}\n"),
    },
];

/// Pages by the request's query, the `Link` of each, and its text; a query without a page is 404.
type Pages = &'static [(&'static str, &'static str, &'static str)];

async fn serving(pages: Pages) -> Upstream {
    Upstream::scripted(0, move |asked, _| {
        let query = asked.target.split_once('?').map_or("", |(_, query)| query);
        Reply::Whole(match pages.iter().find(|(wanted, ..)| *wanted == query) {
            Some((_, "", page)) => answer(200, &[], *page),
            Some((_, link, page)) => answer(200, &[("link", link)], *page),
            None => answer(404, &[], ""),
        })
    })
    .await
}

#[tokio::test]
async fn xml_and_csv_are_streams_of_objects_and_end_by_the_same_proofs() {
    for Case { keys, pages, stream } in CASES {
        let upstream = serving(pages).await;
        let proxy = Proxy::start(&collection(&upstream.url(), keys)).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/orders").await;
        let text = String::from_utf8_lossy(&received.body).into_owned();
        let case = format!("{keys} with {pages:?}: {} {text}", received.head.status);
        match stream {
            Ok(stream) => assert_eq!((received.head.status.as_u16(), received.whole()), (200, *stream), "{case}"),
            Err(_) if received.head.status == 200 => assert!(received.cut(), "{case}"),
            Err(what) => assert!(text.contains(what), "{case}"),
        }
        assert!(upstream.asked().len() >= pages.len(), "{case}");
    }
}

#[tokio::test]
async fn auto_recognises_xml() {
    let recognised: Vec<_> =
        CASES.iter().filter(|case| case.stream.is_ok() && [S3, ATOM].contains(&case.keys)).collect();
    let mut streams = 0;
    for Case { keys, pages, stream } in recognised {
        // One record is no array.
        if pages.len() < 2 || *keys == S3 && pages[0].2.matches("<Contents>").count() < 2 {
            continue;
        }
        let upstream = serving(pages).await;
        let proxy = Proxy::of(&Config::transparent(&upstream.url()).unwrap()).await;
        let received = ask(Version::Http1, &proxy, &Method::GET, "/orders").await;
        assert_eq!(received.whole(), stream.unwrap(), "{pages:?}");
        streams += 1;
    }
    assert_eq!(streams, 2);
    let html = Upstream::scripted(0, |_, _| Reply::Whole(answer(200, &[], "<html><p>a</p><p>b</p></html>"))).await;
    let proxy = Proxy::of(&Config::transparent(&html.url()).unwrap()).await;
    let received = ask(Version::Http1, &proxy, &Method::GET, "/orders").await;
    assert_ne!(received.head.status, 200);
    assert!(!html.asked().is_empty());
}

#[tokio::test]
async fn auto_reads_lines_and_columns_by_their_media_type() {
    const NEXT: &str = "</orders?after=2>; rel=\"next\"";
    const LINKED: &[&str] = &["", "after=2"];
    const NUMBERED: &[&str] = &["page=1", "page=2", "page=3"];
    let objects = "{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n";
    let rows = "{\"id\":\"1\",\"n\":\"a\"}\n{\"id\":\"2\",\"n\":\"b\"}\n{\"id\":\"3\",\"n\":\"c\"}\n";
    for (media_type, queries, pages, stream) in [
        ("application/x-ndjson", LINKED, &["{\"id\":1}\n{\"id\":2}\n", "{\"id\":3}\n"][..], objects),
        ("application/jsonl; charset=utf-8", NUMBERED, &["{\"id\":1}\n{\"id\":2}", "{\"id\":3}", ""], objects),
        ("application/json-seq", LINKED, &["\u{1e}{\"id\":1}\n\u{1e}{\"id\":2}\n", "\u{1e}{\"id\":3}\n"], objects),
        ("text/csv", LINKED, &["id,n\n1,a\n2,b\n", "id,n\n3,c\n"], rows),
        (
            "Text/CSV; header=present",
            NUMBERED,
            &["\u{feff}id;n\r\n1;a\r\n2;b\r\n", "id;n\r\n3;c\r\n", "id;n\r\n"],
            rows,
        ),
        ("text/tab-separated-values", LINKED, &["id\tn\n1\ta\n2\tb\n", "id\tn\n3\tc\n"], rows),
    ] {
        let upstream = Upstream::scripted(0, move |asked, _| {
            let query = asked.target.split_once('?').map_or("", |(_, query)| query);
            let Some(at) = queries.iter().position(|wanted| *wanted == query) else {
                return Reply::Whole(answer(404, &[], ""));
            };
            let link = (queries[0].is_empty() && at == 0).then_some(("link", NEXT));
            let fields: Vec<_> = [("content-type", media_type)].into_iter().chain(link).collect();
            Reply::Whole(answer(200, &fields, pages[at]))
        })
        .await;
        let proxy = Proxy::of(&Config::transparent(&upstream.url()).unwrap()).await;
        let target = format!("/orders?{}", queries[0]);
        let received = ask(Version::Http1, &proxy, &Method::GET, target.trim_end_matches('?')).await;
        assert_eq!(received.whole(), stream, "{media_type}");
        assert!(upstream.asked().len() >= pages.len(), "{media_type}");
    }
    // An answer without content is no line.
    let upstream = Upstream::scripted(0, |_, _| Reply::Whole(answer(204, &[], ""))).await;
    let lines = "encoding = \"ndjson\"\npagination = \"auto\"\nsingle_page = \"accept\"";
    let proxy = Proxy::start(&collection(&upstream.url(), lines)).await;
    let received = ask(Version::Http1, &proxy, &Method::GET, "/orders").await;
    assert_eq!(received.head.status, 502, "{}", String::from_utf8_lossy(&received.body));
    assert!(!upstream.asked().is_empty());
    // What the media type says is not there.
    let upstream =
        Upstream::scripted(0, |_, _| Reply::Whole(answer(200, &[("content-type", "text/csv")], "id,n\n1,a\"b\"\n")))
            .await;
    let proxy = Proxy::of(&Config::transparent(&upstream.url()).unwrap()).await;
    let received = ask(Version::Http1, &proxy, &Method::GET, "/orders").await;
    let report = String::from_utf8_lossy(&received.body);
    assert!(received.head.status == 502 && report.contains("a quote stands within a field"), "{report}");
    assert!(!upstream.asked().is_empty());
}

#[tokio::test]
async fn parts_whose_columns_differ_are_no_records_of_one_list() {
    for (other, is_whole) in [("id,name\n2,b\n", true), ("name,id\nb,2\n", false)] {
        let upstream = Upstream::scripted(0, move |asked, _| {
            let rows = if asked.target.contains("region=eu") { "id,name\n1,a\n" } else { other };
            Reply::Whole(answer(200, &[("content-type", "text/csv")], rows.to_owned()))
        })
        .await;
        let lines = "records = \"rows\"\nencoding = \"csv\"\npagination = \"link_header\"\n\
                     partition = { param = \"region\", values = [\"eu\", \"us\"] }";
        let proxy = Proxy::start(&collection(&upstream.url(), lines)).await;
        let received = client::receive(Version::Http1, proxy.address, client::stream("/rows?_end=marker")).await;
        assert_eq!(received.broken.is_none(), is_whole, "{other}");
        let text = String::from_utf8_lossy(&received.body);
        assert_eq!(text.contains("the columns are"), !is_whole, "{text}");
        assert_eq!(upstream.asked().len(), 2);
    }
}
