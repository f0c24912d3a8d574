//! Dot segments of a path, however they are spelled: a URL or a server resolves them, and answers for another path.

use percent_encoding::percent_decode;

/// Most times that a path's segments may be percent-encoded by those who expect it to be decoded as often.
const ENCODINGS: usize = 3;

/// Returns `true` for a path that an upstream may read as another one: with dot segments, as they are, percent-encoded up to three times, or
/// with parameters (`..;x`, which Tomcat resolves), and with backslashes or NUL.
pub fn has_dot_segments(path: &str) -> bool {
    let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    let mut decoded = path.as_bytes().to_vec();
    for _ in 0..=ENCODINGS {
        let text = String::from_utf8_lossy(&decoded);
        if text.contains('\0') || text.split(['/', '\\']).any(is_dots) {
            return true;
        }
        if !decoded.contains(&b'%') {
            break;
        }
        decoded = percent_decode(&decoded).collect();
    }
    path.contains('\\')
}

#[cfg(test)]
mod tests {
    use super::has_dot_segments;

    #[test]
    fn dot_segments_are_found_however_they_are_spelled() {
        for path in [
            "/a/../b",
            "/..",
            "/a/.",
            "/a/%2E%2e/b",
            "/a/.%2e",
            "/a\\..\\b",
            "/a/..%2fb",
            "/a%2f..%2Fb",
            "/a/..%5cb",
            "/a/..;/b",
            "/a/..;x=1/b",
            "/a/%252e%252e%252fb",
            "/a/%25252e%25252e/b",
            "/a%00",
            "/a/%2500b",
            "/a/..%c0%af/../b",
        ] {
            assert!(has_dot_segments(path), "{path}");
        }
        for path in [
            "/",
            "/a/b",
            "/a..b/...",
            "/.well-known/x",
            "/a/%2e%2e%2e",
            "/group%2Fproject",
            "/a;v=1/b",
            "/100%25",
            "/%zz",
            "/a%5Cb",
        ] {
            assert!(!has_dot_segments(path), "{path}");
        }
    }
}
