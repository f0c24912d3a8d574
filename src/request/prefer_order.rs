//! Order of parts in the `Prefer` field (RFC 7240): `Prefer: order=any`.
//!
//! A preference that can't be read or is not known is ignored (RFC 7240 §2).

use http::{HeaderMap, HeaderName};

use super::directive_list::directives;
use crate::pagination::PartOrder;

/// Request field with preferences.
pub const PREFER: HeaderName = HeaderName::from_static("prefer");

pub(super) fn read(headers: &HeaderMap) -> Option<PartOrder> {
    // The first of two preferences of one name counts (RFC 7240 §2).
    let (_, order) = directives(headers, &PREFER).into_iter().find(|(name, _)| name == "order")?;
    [("any", PartOrder::Any), ("listed", PartOrder::Listed)]
        .into_iter()
        .find(|(word, _)| order.eq_ignore_ascii_case(word))
        .map(|(_, order)| order)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn preferred(fields: &[&str]) -> Option<PartOrder> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(PREFER, HeaderValue::from_str(field).unwrap());
        }
        read(&headers)
    }

    #[test]
    fn an_order_is_preferred_in_many_spellings() {
        for fields in [
            &["order=any"][..],
            &["Order = ANY"],
            &["order=\"any\""],
            &["order=\"a\\ny\""],
            &["respond-async, wait=100, order=any"],
            &["respond-async", "order=any;by=\"time, or; so\""],
            &["foo=\"a, order=listed; \\\", b\"; x, , order=any"],
            &["order=any, order=listed"],
            &["order=any", "order=listed"],
            &["a b, =1, order\t=\tany ; q"],
        ] {
            assert_eq!(preferred(fields), Some(PartOrder::Any), "{fields:?}");
        }
        assert_eq!(preferred(&["order=listed"]), Some(PartOrder::Listed));
    }

    #[test]
    fn nothing_else_prefers_one() {
        for fields in [
            &[][..],
            &[""],
            &["order"],
            &["order=\"\""],
            &["order=some", "order=any"],
            &["order=any any"],
            &["order=\"any"],
            &["order=\"any\"x"],
            &["return=minimal; order=any"],
            &["x=\"order=any\", y"],
            &["reorder=any"],
        ] {
            assert_eq!(preferred(fields), None, "{fields:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_may_stand_there(value in "[ -~\t]{0,40}") {
            prop_assume!(!value.to_ascii_lowercase().contains("order"));
            prop_assert_eq!(preferred(&[&value]), None);
            prop_assert_eq!(preferred(&[&value, "order=any"]), Some(PartOrder::Any));
            prop_assert_eq!(preferred(&[&format!("a={value:?}, order=any")]), Some(PartOrder::Any));
        }
    }
}
