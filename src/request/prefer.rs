//! The order that the `Prefer` field asks for: `Prefer: order=any` (RFC 7240).
//!
//! A preference is a wish: one that can't be read or is not known is as if it weren't there.

use http::{HeaderMap, HeaderName};

use crate::pagination::Order;

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// The order that is preferred, if one is.
pub(super) fn order(headers: &HeaderMap) -> Option<Order> {
    let fields = headers.get_all(PREFER).iter().filter_map(|field| field.to_str().ok());
    // Of a preference that stands there twice the first counts (RFC 7240 §2).
    let (_, order) = fields.flat_map(preferences).find(|(name, _)| name.eq_ignore_ascii_case("order"))?;
    [("any", Order::Any), ("listed", Order::Listed)]
        .into_iter()
        .find(|(word, _)| order.eq_ignore_ascii_case(word))
        .map(|(_, order)| order)
}

/// The names and values of one field's preferences, without their parameters; what is no preference is left out.
fn preferences(field: &str) -> Vec<(&str, String)> {
    split(field, ',').filter_map(|preference| named(split(preference, ';').next()?)).collect()
}

/// `token [ BWS "=" BWS word ]`; without a value it has the empty one.
fn named(text: &str) -> Option<(&str, String)> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let (name, value) = (name.trim_matches(BLANK), value.trim_matches(BLANK));
    let value = match value.strip_prefix('"') {
        Some(rest) => unquoted(rest)?,
        None if value.is_empty() || is_token(value) => value.to_owned(),
        None => return None,
    };
    is_token(name).then_some((name, value))
}

const BLANK: [char; 2] = [' ', '\t'];

/// What stands between these separators, those inside of quoted strings left alone.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        c == separator && !quoted
    })
}

/// The text of a quoted string (RFC 9110 §5.6.4) whose first quote is gone, if it ends with the other one.
fn unquoted(rest: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(text),
            '\\' => text.push(characters.next()?),
            c => text.push(c),
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn preferred(fields: &[&str]) -> Option<Order> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(PREFER, HeaderValue::from_str(field).unwrap());
        }
        order(&headers)
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
            assert_eq!(preferred(fields), Some(Order::Any), "{fields:?}");
        }
        assert_eq!(preferred(&["order=listed"]), Some(Order::Listed));
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
            prop_assert_eq!(preferred(&[&value, "order=any"]), Some(Order::Any));
            prop_assert_eq!(preferred(&[&format!("a={value:?}, order=any")]), Some(Order::Any));
        }
    }
}
