//! `Link` header field (RFC 8288): followed while it has the relation, and the attribute's value where one is given.

use super::addressing::{Address, AddressContext, Addressing, PageAnswer};
use super::config_keys::{KeyKind, KeyMistake, StyleKey, StyleSchema, StyleValue, StyleValues};
use super::style_rules::{ReadStyle, StyleRules};
use super::uri_template::{Expressions, expanded};
use crate::pagination::error::{PageError, excerpt};
use crate::pagination::link_header_parser::{Link, links};

/// Links in the `Link` header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkHeader {
    /// Relation type.
    pub rel: String,
    /// Attribute and its value, without which a link is not followed.
    pub attribute: Option<(String, String)>,
}

impl ReadStyle for LinkHeader {
    const SCHEMA: StyleSchema = StyleSchema {
        name: "link_header",
        keys: &[
            StyleKey::TYPE,
            StyleKey::new("rel", KeyKind::Text),
            StyleKey::new("link_attr", KeyKind::Pair),
            StyleKey::SAME_TOKEN,
            StyleKey::MORE,
            StyleKey::END,
        ],
    };

    fn read(values: &mut StyleValues, _: &mut Vec<KeyMistake>) -> Option<Self> {
        Some(Self { rel: values.text("rel").unwrap_or_else(|| "next".to_owned()), attribute: values.pair("link_attr") })
    }
}

impl StyleRules for LinkHeader {
    fn values(&self) -> StyleValues {
        let mut values = StyleValues::from([("rel", StyleValue::Text(self.rel.clone()))]);
        let attribute = self.attribute.clone().map(|(name, value)| StyleValue::Pair(name, value));
        values.put_some("link_attr", attribute);
        values
    }

    fn addressing(&self) -> Addressing {
        Addressing::Pointer
    }

    fn next(&self, context: AddressContext<'_>, answer: PageAnswer<'_>) -> Result<Option<Address>, PageError> {
        let links = links(&answer.head.headers)?;
        let is_live =
            |link: &&Link| self.attribute.as_ref().is_none_or(|(name, value)| link.param(name) == Some(value.as_str()));
        let mut named = links.iter().filter(|link| link.has_rel(&self.rel)).peekable();
        if named.peek().is_none()
            && let Some(rel) = links.iter().find_map(Link::impossible_rel)
        {
            return Err(PageError::ImpossibleRelation(excerpt(rel)));
        }
        let mut live = named.filter(is_live);
        let Some(next) = live.next() else { return Ok(None) };
        if live.any(|other| other.target != next.target) {
            return Err(PageError::TwoNextLinks(self.rel.clone()));
        }
        let target = expanded(&next.target, Expressions::OfQueries, &context.first.url);
        context.at(&answer.head.url, &target).map(|request| Some(Address::unnumbered(request)))
    }

    /// The header is whole before the page begins.
    fn is_certain(&self, _: PageAnswer<'_>) -> bool {
        true
    }

    /// With an attribute, a link that lacks it is the upstream's usual end.
    fn pointer_name(&self) -> Option<String> {
        self.attribute.is_none().then(|| format!("a Link header with rel={}", self.rel))
    }
}
