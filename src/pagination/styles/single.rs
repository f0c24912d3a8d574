//! One page is the whole collection.

use super::addressing::{Address, AddressContext, Addressing, PageAnswer};
use super::config_keys::{KeyMistake, StyleKey, StyleSchema, StyleValues};
use super::style_rules::{ReadStyle, StyleRules};
use crate::pagination::error::PageError;

/// Style of a collection of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinglePage;

impl ReadStyle for SinglePage {
    const SCHEMA: StyleSchema = StyleSchema { name: "none", keys: &[StyleKey::TYPE, StyleKey::MORE] };

    fn read(_: &mut StyleValues, _: &mut Vec<KeyMistake>) -> Option<Self> {
        Some(Self)
    }
}

impl StyleRules for SinglePage {
    fn values(&self) -> StyleValues {
        StyleValues::default()
    }

    fn addressing(&self) -> Addressing {
        Addressing::SinglePage
    }

    fn next(&self, _: AddressContext<'_>, _: PageAnswer<'_>) -> Result<Option<Address>, PageError> {
        Ok(None)
    }
}
