//! Rules that each pagination style has.

use std::fmt;

use http::{HeaderMap, HeaderName, StatusCode};
use url::Url;

use super::addressing::{Address, AddressContext, Addressing, PageAnswer, Start, refuse_bytes};
use super::config_keys::{KeyMistake, StyleSchema, StyleValues};
use super::template::Template;
use crate::pagination::error::PageError;
use crate::pagination::page::Head;
use crate::pagination::path::Path;
use crate::pagination::proof::Proof;
use crate::pagination::request::Param;
use crate::pagination::value_source::Source;

/// End of a collection as far as the style alone can tell it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StyleEnd {
    /// The counts, flags and totals that all styles share decide.
    Shared,
    /// The answer is no page among several, but the whole collection.
    Whole,
    /// The answer proves the end.
    Proven(Proof),
    /// The answer names its place among all records; `total` is their number, where the answer has it.
    Range { total: Option<u64>, is_last: bool },
}

/// One way to address pages.
pub(crate) trait StyleRules: fmt::Debug {
    /// Configured values, without those that are the default.
    fn values(&self) -> StyleValues;

    fn addressing(&self) -> Addressing;

    // Places of the request and of the page.

    /// Parameters that change from page to page.
    fn params(&self) -> Vec<&Param> {
        Vec::new()
    }

    /// Header fields that change from page to page and are no [`StyleRules::params`].
    fn headers(&self) -> Vec<HeaderName> {
        Vec::new()
    }

    /// Template of the changing parameter's value.
    fn template(&self) -> Option<&Template> {
        None
    }

    /// Placeholders of a template that change from page to page.
    fn placeholders(&self) -> &'static [&'static str] {
        &["cursor"]
    }

    /// Places of an answer that a next address or token is read from.
    fn pointers(&self) -> Vec<&Source> {
        Vec::new()
    }

    /// Further paths whose values are needed of each page.
    fn fields(&self) -> Vec<&Path> {
        Vec::new()
    }

    // Addresses.

    /// First address; for numbers also the place in the collection that the client's request names.
    fn first(&self, context: AddressContext<'_>) -> Result<(Address, Start), PageError> {
        Ok((Address::unnumbered(context.first.clone()), Start::Beginning))
    }

    /// Returns true for a parameter's value with which the first page is asked for.
    fn is_first_value(&self, _: &Param, _text: &str) -> bool {
        false
    }

    /// Address behind a page; `None` where there is none.
    fn next(&self, context: AddressContext<'_>, answer: PageAnswer<'_>) -> Result<Option<Address>, PageError>;

    /// Returns true if the unread rest of a page can't change the address that [`StyleRules::next`] reads from it.
    fn is_certain(&self, _: PageAnswer<'_>) -> bool {
        false
    }

    /// Address of the page with this number, before the page in front of it has come.
    fn predict(&self, _: AddressContext<'_>, _number: u64) -> Option<Address> {
        None
    }

    /// Address of the page behind the record with a key, as [`KeyReader`](crate::pagination::keys::KeyReader) reads it; of several
    /// values, as an array of them.
    fn behind(&self, _: AddressContext<'_>, _key: &[u8]) -> Result<Option<Address>, PageError> {
        Ok(None)
    }

    /// Number that a walk from the beginning starts with.
    fn start(&self) -> u64 {
        0
    }

    /// Returns true if the next number follows from the number of records of the page, so that a short page moves all later ones.
    fn advances_by_records(&self) -> bool {
        false
    }

    /// Returns true if a page holds the records from any number on, so that pages may share some.
    fn is_windowed(&self) -> bool {
        false
    }

    /// Returns true if pages may change their size between two requests: the next address then follows from the records alone.
    fn is_resizable(&self) -> bool {
        false
    }

    /// Key by which a page's first record is the last one of the page before.
    fn overlap_key(&self) -> Option<&[Path]> {
        None
    }

    // Ends.

    /// Checks that an answer is the page that was asked for; `pages` have come before it.
    fn check_head(&self, _: AddressContext<'_>, head: &Head, _pages: u64) -> Result<(), PageError> {
        refuse_bytes(head)
    }

    /// End that a whole page proves by the style's own rules.
    fn end(&self, _: PageAnswer<'_>) -> Result<StyleEnd, PageError> {
        Ok(StyleEnd::Shared)
    }

    /// End that a refusal proves by the style's own rules.
    fn end_by_refusal(&self, _: StatusCode, _: &HeaderMap) -> Result<Option<Proof>, PageError> {
        Ok(None)
    }

    /// Returns true if a total that is reached still needs a request that shows that nothing follows.
    fn confirms_totals(&self) -> bool {
        true
    }

    /// Place of the total in every answer of this style.
    fn total(&self) -> Option<&'static Source> {
        None
    }

    /// Error for a next address that is the one that was just sent.
    fn repetition(&self) -> PageError {
        PageError::TokenRepeats(self.params().first().copied().cloned())
    }

    /// Words for the place of the next address, where its absence on the first page may be a mistake of the configuration.
    fn pointer_name(&self) -> Option<String> {
        Some(self.pointers().iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }

    // Facts that the lints of a configuration look at.

    /// Page size that the style itself asks for.
    fn own_size(&self) -> Option<u64> {
        None
    }

    /// Returns true if the next number follows from the page size that was asked for.
    fn advances_by_page_size(&self) -> bool {
        false
    }

    fn sends_array(&self) -> bool {
        false
    }

    /// URL that relative links are resolved against.
    fn base_url(&self) -> Option<&Url> {
        None
    }

    /// Place of the number of pages in the `Link` to the last page.
    fn last_link(&self) -> Option<Source> {
        None
    }
}

pub(super) trait ReadStyle: Sized {
    const SCHEMA: StyleSchema;

    fn read(values: &mut StyleValues, mistakes: &mut Vec<KeyMistake>) -> Option<Self>;
}
