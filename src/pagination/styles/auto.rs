//! Style that is recognised from the first page; a walk never has it.

use super::addressing::{Address, AddressContext, Addressing, PageAnswer};
use super::config_keys::{KeyMistake, StyleKey, StyleSchema, StyleValues};
use super::style_rules::{ReadStyle, StyleRules};
use crate::pagination::error::PageError;

/// Style to be recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auto;

impl ReadStyle for Auto {
    const SCHEMA: StyleSchema = StyleSchema { name: "auto", keys: &[StyleKey::TYPE] };

    fn read(_: &mut StyleValues, _: &mut Vec<KeyMistake>) -> Option<Self> {
        Some(Self)
    }
}

impl StyleRules for Auto {
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
