//! Signatures of requests to AWS (SigV4), in the field `Authorization`.
//!
//! Own code over `ring`, which is there anyway, so that no build needs a feature for it. aws-sigv4 1.6 brings 30 crates of AWS's SDK;
//! reqsign-aws-v4 2.0 brings 17, writes all paths as S3 alone does, and signs no body.

use std::collections::BTreeMap;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use ring::digest::{SHA256, digest};
use ring::hmac;
use url::Url;

use super::placed_secret::AwsSigner;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const BODY_HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const SESSION_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// In place of the hash of a body that is not signed, which S3 takes over TLS.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &RESERVED.remove(b'/');

/// Services that sign a path as it is encoded in the request.
const PATH_AS_SENT: [&str; 4] = ["s3", "s3-object-lambda", "s3-outposts", "s3express"];

/// Fields that a signature covers, in the order of their names.
type SignedFields<'a> = BTreeMap<&'a str, Vec<u8>>;

impl AwsSigner {
    /// Writes a URL as it is signed: each name and value of its query encoded in one way, and the path where it is signed as it is sent.
    pub(super) fn spell(&self, url: &mut Url) {
        let pair =
            |(name, value): (String, Option<String>)| value.map_or(name.clone(), |value| format!("{name}={value}"));
        if let Some(query) = url.query().map(|query| query.replace('+', "%20")) {
            url.set_query(Some(&pairs(&query).map(pair).collect::<Vec<_>>().join("&")));
        }
        if self.signs_path_as_sent() {
            url.set_path(&self.path(url.path()));
        }
    }

    fn signs_path_as_sent(&self) -> bool {
        PATH_AS_SENT.contains(&&*self.service)
    }

    /// Signs a request that is otherwise as it is sent. A body that is none is not covered.
    pub(super) fn sign(&self, head: &mut Parts, body: Option<&[u8]>, now: SystemTime) {
        // `2026-11-30T10:25:00Z` without its marks.
        let time = humantime::format_rfc3339_seconds(now).to_string().replace(['-', ':'], "");
        let hash = body.map_or(UNSIGNED.to_owned(), sha256);
        let token = self.session_token.as_ref().map(|token| token.text());
        for (name, text) in [(DATE, Some(&*time)), (BODY_HASH, Some(&*hash)), (SESSION_TOKEN, token)] {
            head.headers.remove(&name);
            head.headers.extend(text.and_then(secret_value).map(|value| (name, value)));
        }
        let authorization = self.authorization(head, &fields(head), &time, &hash);
        head.headers.remove(AUTHORIZATION);
        head.headers.extend(secret_value(&authorization).map(|value| (AUTHORIZATION, value)));
    }

    fn authorization(&self, head: &Parts, fields: &SignedFields<'_>, time: &str, hash: &str) -> String {
        let Self { service, region, .. } = self;
        let names = fields.keys().copied().collect::<Vec<_>>().join(";");
        let (path, query) = (self.path(head.uri.path()), query(head.uri.query().unwrap_or_default()));
        let mut request = format!("{}\n{path}\n{query}\n", head.method).into_bytes();
        for (name, value) in fields {
            request.extend([name.as_bytes(), b":", value, b"\n"].concat());
        }
        request.extend(format!("\n{names}\n{hash}").into_bytes());
        let date = &time[..8];
        let scope = format!("{date}/{region}/{service}/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256(&request));
        let key = format!("AWS4{}", self.secret_key.text()).into_bytes();
        let key = [date, region, service, "aws4_request"].iter().fold(key, |key, part| hmac(&key, part));
        let (access_key, signature) = (self.access_key.text(), hex(&hmac(&key, &text)));
        format!("AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}")
    }

    /// Returns the path as it is signed: that of S3 encoded once, that of others without empty and dot segments, and encoded a second time.
    fn path(&self, sent: &str) -> String {
        if self.signs_path_as_sent() {
            return percent_encode(&percent_decode_str(sent).collect::<Vec<_>>(), PATH).to_string();
        }
        let mut segments = Vec::new();
        for segment in sent.split('/') {
            match segment {
                "" | "." => {}
                ".." => drop(segments.pop()),
                _ => segments.push(segment),
            }
        }
        let end = if sent.ends_with('/') && !segments.is_empty() { "/" } else { "" };
        percent_encode(format!("/{}{end}", segments.join("/")).as_bytes(), PATH).to_string()
    }
}

/// Returns the fields that a signature covers: those that AWS demands. Boxes on the way may change others.
fn fields(head: &Parts) -> SignedFields<'_> {
    let host = head.uri.authority().map_or("", |authority| authority.as_str());
    let is_signed = |name: &&HeaderName| **name == CONTENT_TYPE || name.as_str().starts_with("x-amz-");
    let signed = head.headers.keys().filter(is_signed).map(|name| (name.as_str(), value_of(&head.headers, name)));
    signed.chain([("host", host.as_bytes().to_vec())]).collect()
}

/// Returns all values of a field, each without spaces around it and with one space in place of several.
fn value_of(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let words = |value: &HeaderValue| {
        let words = value.as_bytes().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(&b' ')
    };
    headers.get_all(name).iter().map(words).collect::<Vec<_>>().join(&b',')
}

/// Returns the query as it is signed: its pairs in the order of their names.
fn query(sent: &str) -> String {
    let mut pairs: Vec<_> = pairs(sent).map(|(name, value)| (name, value.unwrap_or_default())).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// Returns the names and values of a query, each encoded in one way.
fn pairs(query: &str) -> impl Iterator<Item = (String, Option<String>)> {
    let encoded = |text| percent_encode(&percent_decode_str(text).collect::<Vec<_>>(), RESERVED).to_string();
    query.split('&').filter(|pair| !pair.is_empty()).map(move |pair| match pair.split_once('=') {
        Some((name, value)) => (encoded(name), Some(encoded(value))),
        None => (encoded(pair), None),
    })
}

/// Returns the value of a field that no `Debug` output shows; none where no field can carry the text, and AWS refuses the request.
fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use http::Request;

    use super::*;
    use crate::config::{AwsKeys, Secret};
    use crate::upstream::credential::aws_keys::FollowedAwsKeys;
    use crate::upstream::credential::placed_secret::PlacedSecret;

    /// Keys of AWS's test suite.
    const KEYS: [&str; 2] = ["AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"];
    /// 2015-08-30T12:36:00Z, the time of its requests.
    const TIME: u64 = 1_440_938_160;

    fn source(service: &str, [access_key, secret_key]: [&str; 2], session: Option<&str>) -> Arc<PlacedSecret> {
        let secret = |text: &str| Secret::new(text.to_owned());
        let keys = AwsKeys {
            service: service.to_owned(),
            region: "us-east-1".to_owned(),
            access_key: secret(access_key),
            secret_key: secret(secret_key),
            session_token: session.map(secret),
        };
        FollowedAwsKeys::new(&keys).current()
    }

    fn head(method: &str, url: &str, fields: &[(&'static str, &'static str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// Fields that are signed, and the signature.
    fn parts(authorization: &str) -> (&str, &str) {
        authorization.split_once("SignedHeaders=").unwrap().1.split_once(", Signature=").unwrap()
    }

    /// AWS's test suite for SigV4. Its requests have no hash of the body, and all their fields are signed.
    #[test]
    fn signatures_are_those_of_the_published_test_suite() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let spaces = [("my-header1", " value1"), ("my-header2", " \"a   b   c\"")];
        for (name, method, target, own, body, signature) in [
            (
                "get-vanilla",
                "GET",
                "/",
                &[][..],
                "",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "get-vanilla-query-order-key-case",
                "GET",
                "/?Param2=value2&Param1=value1",
                &[],
                "",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "post-x-www-form-urlencoded",
                "POST",
                "/",
                &[form],
                "Param1=value1",
                "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            ),
            (
                "get-header-value-trim",
                "GET",
                "/",
                &spaces,
                "",
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            ),
            ("get-utf8", "GET", "/ሴ", &[], "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
            (
                "get-slashes",
                "GET",
                "//example//",
                &[],
                "",
                "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
            ),
            (
                "get-relative-relative",
                "GET",
                "/example1/example2/../..",
                &[],
                "",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
        ] {
            let time = "20150830T123600Z";
            let head = head(method, &format!("https://example.amazonaws.com{target}"), own);
            let mut fields: SignedFields<'_> = [("host", b"example.amazonaws.com".to_vec())].into();
            fields.insert("x-amz-date", time.into());
            fields.extend(head.headers.keys().map(|name| (name.as_str(), value_of(&head.headers, name))));
            let source = source("service", KEYS, None);
            let signer = source.signer().unwrap();
            let authorization = signer.authorization(&head, &fields, time, &sha256(body.as_bytes()));
            assert_eq!(parts(&authorization).1, signature, "{name}: {authorization}");
        }
    }

    #[test]
    fn a_list_of_s3_is_signed_as_in_its_documentation() {
        let keys = ["AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"];
        let mut head = head("GET", "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J", &[]);
        let now = UNIX_EPOCH + Duration::from_secs(1_369_353_600);
        source("s3", keys, None).signer().unwrap().sign(&mut head, Some(b""), now);
        assert_eq!(
            head.headers[AUTHORIZATION],
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
             Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    /// Signatures of botocore 1.44.5 for the same requests. A client's own keys and signature are replaced.
    #[test]
    fn paths_queries_fields_and_temporary_keys_are_signed_as_botocore_does() {
        let target = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "DynamoDB_20120810.Scan")];
        let several =
            [("x-amz-meta", " a   b "), ("x-amz-meta", "c"), ("content-type", "text/plain"), ("via", "1.1 a")];
        let own =
            [("authorization", "a"), ("x-amz-date", "a"), ("x-amz-security-token", "a"), ("x-amzn-trace-id", "a")];
        for (service, method, target, sent, body, session, names, signature) in [
            (
                "execute-api",
                "GET",
                ":8443/prod/a%20b/%C3%BC:x?b=2&a=x%2Fy&a=1&c",
                &own[..],
                "",
                Some("TOKEN"),
                "host;x-amz-content-sha256;x-amz-date;x-amz-security-token",
                "5c656242ec37f3b27f910f32765028d37fda523c8a562c24d40fc8ea4f251c54",
            ),
            (
                "dynamodb",
                "POST",
                "/",
                &target,
                "{\"TableName\":\"t\"}",
                None,
                "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target",
                "603fbdf259b0e19a3b31eb82fdffec658bef9334f8b89d8564433f27d96cab01",
            ),
            (
                "service",
                "GET",
                "/",
                &several,
                "",
                None,
                "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta",
                "e52776cf66190de1f83aa21f1424aedfc8aea527863da8500898dfd75ba159b5",
            ),
            (
                "s3",
                "GET",
                "/bucket/a%20b//%C3%BC:x?list-type=2&prefix=a%20b",
                &own,
                "",
                None,
                "host;x-amz-content-sha256;x-amz-date",
                "c2094fdf819e5210b2a5c83b5532902dd62aedd132e02a86f1b21d23860ea101",
            ),
        ] {
            let mut head = head(method, &format!("https://example.amazonaws.com{target}"), sent);
            let source = source(service, KEYS, session);
            source.signer().unwrap().sign(&mut head, Some(body.as_bytes()), UNIX_EPOCH + Duration::from_secs(TIME));
            let authorization = head.headers[AUTHORIZATION].to_str().unwrap();
            assert_eq!(parts(authorization), (names, signature), "{service}");
            assert_eq!(head.headers[DATE], "20150830T123600Z");
            assert_eq!(head.headers.get(SESSION_TOKEN).map(HeaderValue::as_bytes), session.map(str::as_bytes));
            assert!(head.headers[AUTHORIZATION].is_sensitive() && !format!("{head:?}").contains("TOKEN"), "{head:?}");
        }
    }

    #[test]
    fn a_url_is_sent_as_it_is_signed() {
        for (service, sent, signed) in [
            ("s3", "/a:b/ü c//d?prefix=a+b/&x=%2b&acl&acl=", "/a%3Ab/%C3%BC%20c//d?prefix=a%20b%2F&x=%2B&acl&acl="),
            ("es", "/a:b/c?q=(1)", "/a:b/c?q=%281%29"),
            ("es", "/?", "/?"),
            ("s3", "/", "/"),
        ] {
            let mut url = Url::parse(&format!("https://a{sent}")).unwrap();
            let source = source(service, KEYS, None);
            let signer = source.signer().unwrap();
            signer.spell(&mut url);
            assert_eq!(url.as_str(), format!("https://a{signed}"));
            if service == "s3" {
                assert_eq!(signer.path(url.path()), url.path());
            }
        }
    }

    #[test]
    fn a_body_that_is_not_known_is_left_out() {
        let mut head = head("PUT", "https://example.amazonaws.com/", &[]);
        source("s3", KEYS, None).signer().unwrap().sign(&mut head, None, UNIX_EPOCH);
        assert_eq!(head.headers[BODY_HASH], "UNSIGNED-PAYLOAD");
    }
}
