//! Content coding that the `Accept-Encoding` field prefers (RFC 9110 §12.5.3).

use http::{HeaderMap, header};

use crate::config::ContentCoding;

/// Weights of the content codings, in thousandths; 0 is "not acceptable", none is "not named".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptEncoding {
    zstd: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    /// Weight of `*`: of everything that is not named.
    others: Option<u16>,
}

impl AcceptEncoding {
    /// Reads the field. Members that are malformed, or that name another coding, are ignored.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut accepted = Self::default();
        let fields = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok());
        for member in fields.flat_map(|field| field.split(',')) {
            let (name, parameters) = member.split_once(';').unwrap_or((member, "q=1"));
            let Some(weight) = weight(parameters) else { continue };
            let coding = match name.trim().to_ascii_lowercase().as_str() {
                "zstd" => &mut accepted.zstd,
                "gzip" | "x-gzip" => &mut accepted.gzip,
                "identity" => &mut accepted.identity,
                "*" => &mut accepted.others,
                _ => continue,
            };
            *coding = Some(weight);
        }
        accepted
    }

    /// Returns the coding that the client prefers among those offered; none for no coding, also where the client accepts nothing that is
    /// there. Between equal weights the first one that is offered wins. `*` alone asks for no coding: a client that names none may be unable
    /// to decode any.
    pub fn preferred(self, offered: &[ContentCoding]) -> Option<ContentCoding> {
        // Named codings win against identity of the same weight, and those that only `*` accepts lose against it.
        let rank = |coding: &ContentCoding| match (self.named(*coding), self.others) {
            (Some(weight), _) => Some((weight, 2)),
            (None, weight) => weight.map(|weight| (weight, 0)),
        };
        let ranked =
            offered.iter().filter_map(|coding| Some((rank(coding).filter(|(weight, _)| *weight > 0)?, coding)));
        // `max_by_key` returns the last of several.
        let (best, coding) = ranked.rev().max_by_key(|(rank, _)| *rank)?;
        let plain = (!self.refuses_identity()).then(|| (self.identity.or(self.others).unwrap_or(0), 1));
        plain.is_none_or(|plain| best > plain).then_some(*coding)
    }

    /// Returns `true` where a body without a coding is not acceptable.
    pub fn refuses_identity(self) -> bool {
        self.identity.or(self.others) == Some(0)
    }

    fn named(self, coding: ContentCoding) -> Option<u16> {
        match coding {
            ContentCoding::Zstd => self.zstd,
            ContentCoding::Gzip => self.gzip,
        }
    }
}

/// Reads `q=`, a number from 0 to 1 (RFC 9110 §12.4.2), in thousandths; no other parameter is defined.
fn weight(parameters: &str) -> Option<u16> {
    let (name, value) = parameters.split_once('=')?;
    let value = value.trim();
    let is_number = value.starts_with(['0', '1']) && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let weight = value.parse::<f32>().ok().filter(|weight| is_number && (0.0..=1.0).contains(weight))?;
    // At most 1,000.
    name.trim().eq_ignore_ascii_case("q").then_some((weight * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::ContentCoding::{Gzip, Zstd};
    use super::*;

    fn read(fields: &[&str]) -> AcceptEncoding {
        let fields = fields.iter().map(|field| (header::ACCEPT_ENCODING, HeaderValue::from_str(field).unwrap()));
        AcceptEncoding::read(&fields.collect())
    }

    #[test]
    fn the_best_coding_is_chosen_by_weight() {
        for (fields, coding) in [
            (&[][..], None),
            (&[""], None),
            (&["gzip"], Some(Gzip)),
            (&["gzip, deflate"], Some(Gzip)),
            (&["x-gzip"], Some(Gzip)),
            (&["gzip, deflate, br, zstd"], Some(Zstd)),
            (&["ZSTD;Q=0.5, GZip ; q = 0.501"], Some(Gzip)),
            (&["zstd;q=0.001"], Some(Zstd)),
            (&["zstd;q=0, gzip;q=0.000"], None),
            (&["deflate, br"], None),
            (&["gzip", "zstd"], Some(Zstd)),
            // Weights of identity.
            (&["identity"], None),
            (&["identity, gzip"], Some(Gzip)),
            (&["gzip;q=0.5, identity"], None),
            (&["gzip;q=0.5, identity;q=0.4"], Some(Gzip)),
            (&["identity;q=0, gzip;q=0.1"], Some(Gzip)),
            (&["identity;q=1, *;q=0"], None),
            // `*`: chosen only where it beats identity.
            (&["*"], None),
            (&["*;q=0"], None),
            (&["*;q=0, gzip"], Some(Gzip)),
            (&["*, identity;q=0.5"], Some(Zstd)),
            (&["*, identity;q=0"], Some(Zstd)),
            (&["gzip, *"], Some(Gzip)),
            (&["gzip, *;q=0.1"], Some(Gzip)),
            (&["gzip;q=0, *, identity;q=0"], Some(Zstd)),
            // Malformed members are not there.
            (&["gzip;q=2, zstd;q=-1"], None),
            (&["gzip;q=nan, zstd;q=1e-1, gzip;q="], None),
            (&["gzip;level=1"], None),
            (&["zstd;q=x, gzip;q=0.2,;,"], Some(Gzip)),
        ] {
            assert_eq!(read(fields).preferred(&[Zstd, Gzip]), coding, "{fields:?}");
        }
        assert_eq!(read(&["gzip, zstd"]).preferred(&[Gzip, Zstd]), Some(Gzip), "the order of the configuration");
        assert_eq!(read(&["gzip, zstd"]).preferred(&[Gzip]), Some(Gzip));
        assert_eq!(read(&["gzip, zstd, *, identity;q=0"]).preferred(&[]), None);
    }

    #[test]
    fn identity_is_refused_by_name_or_with_everything_else() {
        for (field, refused) in [
            ("identity;q=0", true),
            ("gzip, *;q=0", true),
            ("identity;q=0.0, *", true),
            ("identity;q=0.1, *;q=0", false),
            ("gzip;q=0", false),
            ("", false),
        ] {
            assert_eq!(read(&[field]).refuses_identity(), refused, "{field}");
        }
    }

    proptest! {
        /// No coding is chosen that the field does not name or cover by `*`, and none of weight 0.
        #[test]
        fn only_what_is_accepted_is_chosen(zstd in 0..=1000_u16, gzip in 0..=1000_u16, text in "[a-z*;=0-9., ]{0,20}") {
            let field = format!("zstd;q={:.3}, gzip;q={:.3}", f32::from(zstd) / 1000.0, f32::from(gzip) / 1000.0);
            let best = if zstd == 0 && gzip == 0 { None } else if zstd >= gzip { Some(Zstd) } else { Some(Gzip) };
            prop_assert_eq!(read(&[&field]).preferred(&[Zstd, Gzip]), best);
            let chosen = read(&[&text]).preferred(&[Zstd, Gzip]);
            prop_assert!(chosen.is_none() || text.contains(['*', 'z']), "{} from {}", format!("{chosen:?}"), text);
        }
    }
}
