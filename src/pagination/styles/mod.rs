//! Pagination styles: each file has one style's keys, the values that it needs of a page, its first and next address, the
//! addresses that it can predict, and what proves its end.
//!
//! A new style is one file here, one line in the list below and its entry in `docs/`.

mod addressing;
mod auto;
mod config_keys;
mod cursor;
mod keyset;
mod link_header;
mod next_request;
mod next_url;
mod offset;
mod page;
mod range;
mod request_fields;
mod single;
mod style_rules;
mod template;
mod uri_template;

pub(crate) use addressing::{Address, AddressContext, Addressing, PageAnswer, Start};
pub use auto::Auto;
pub use config_keys::{KeyKind, KeyMistake, KeyNeed, StyleKey, StyleSchema, StyleValue, StyleValues};
pub use cursor::{Cursor, Token};
pub use keyset::{KeyUse, Keyset, Overlap};
pub use link_header::LinkHeader;
pub use next_request::NextRequest;
pub use next_url::{Base, NextUrl};
pub use offset::{Advance, Offset};
pub use page::PageNumber;
pub use range::RangeHeader;
pub use single::SinglePage;
pub(crate) use style_rules::{StyleEnd, StyleRules};
pub use template::Template;

use super::error::PageError;
use super::link_guard::LinkGuard;
use super::request::{PageRequest, Param};
use style_rules::ReadStyle;

/// Declares the styles: the variant, its type, and its schema among those of the configuration.
macro_rules! styles {
    ($($(#[doc = $doc:literal])* $style:ident($rules:ty),)*) => {
        /// Rule that addresses the next page.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Style {
            $($(#[doc = $doc])* $style($rules),)*
        }

        impl Style {
            /// Schemas of all styles, in the order in which messages list them.
            pub const SCHEMAS: &[&StyleSchema] = &[$(&<$rules>::SCHEMA,)*];

            pub fn schema(&self) -> &'static StyleSchema {
                match self {
                    $(Self::$style(_) => &<$rules>::SCHEMA,)*
                }
            }

            pub(crate) fn rules(&self) -> &dyn StyleRules {
                match self {
                    $(Self::$style(style) => style,)*
                }
            }

            /// Reads the style of this name; its mistakes are added to `mistakes`.
            pub fn read(name: &str, values: &mut StyleValues, mistakes: &mut Vec<KeyMistake>) -> Option<Self> {
                $(if name == <$rules>::SCHEMA.name {
                    return <$rules>::read(values, mistakes).map(Self::$style);
                })*
                None
            }
        }

        $(impl From<$rules> for Style {
            fn from(style: $rules) -> Self {
                Self::$style(style)
            }
        })*
    };
}

styles! {
    /// `Link` header field with a relation (RFC 8288).
    LinkHeader(LinkHeader),
    /// URL in the page or in a header field.
    NextUrl(NextUrl),
    /// Opaque tokens that the answer hands out and the next request hands back.
    Cursor(Cursor),
    /// Page number that grows by one.
    Page(PageNumber),
    /// Record number that grows by the records that came.
    Offset(Offset),
    /// Key of the last record.
    Keyset(Keyset),
    /// `Range` header field with a unit of the upstream's own (RFC 9110 §14).
    Range(RangeHeader),
    Single(SinglePage),
    /// To be recognised from the first page, and verified on the second.
    Auto(Auto),
}

impl Style {
    pub const SINGLE: Self = Self::Single(SinglePage);
    pub const AUTO: Self = Self::Auto(Auto);

    /// Name in a configuration.
    pub fn name(&self) -> &'static str {
        self.schema().name
    }

    /// Returns the configured values, without those that are the default.
    pub fn values(&self) -> StyleValues {
        self.rules().values()
    }

    pub fn is_auto(&self) -> bool {
        *self == Self::AUTO
    }

    /// Returns true if each page holds the next address; otherwise that follows from its number or its last key.
    pub fn is_pointed(&self) -> bool {
        self.rules().addressing() == Addressing::Pointer
    }

    /// Returns true if the upstream writes the whole next address.
    pub fn takes_links(&self) -> bool {
        matches!(self, Self::LinkHeader(_) | Self::NextUrl(_))
    }

    /// Returns true if pages are addressed by a number, which moves when records before it are added or removed.
    pub fn is_numbered(&self) -> bool {
        matches!(self.rules().addressing(), Addressing::PageNumber | Addressing::RecordNumber)
    }

    pub fn counts_pages(&self) -> bool {
        self.rules().addressing() == Addressing::PageNumber
    }

    pub fn counts_records(&self) -> bool {
        self.rules().addressing() == Addressing::RecordNumber
    }

    /// Returns true if the next address follows from a page's number or its last key, so that there always is one.
    pub fn is_computed(&self) -> bool {
        self.is_numbered() || self.rules().addressing() == Addressing::Key
    }

    /// Page size that the style itself asks for.
    pub fn own_size(&self) -> Option<u64> {
        self.rules().own_size()
    }

    /// Request of a crawl's first page: `sized` with the first page or record number, the first token, or the first range.
    pub fn first_request(&self, sized: &PageRequest, size: Option<u64>) -> Result<PageRequest, PageError> {
        let guard = LinkGuard::new(&sized.url, &[]);
        let (first, _) = self.rules().first(AddressContext { guard: &guard, first: sized, number: 0, size })?;
        Ok(PageRequest::clone(&first.request))
    }

    /// Parameters that change from page to page.
    pub fn params(&self) -> Vec<&Param> {
        self.rules().params()
    }

    /// Error for a page with the records of an earlier one.
    pub(crate) fn repeated(&self, page: u64) -> PageError {
        PageError::Repeat { page, param: self.params().first().copied().cloned() }
    }

    /// Parameters that name a page and nothing else: one with a template also holds what the collection is asked with.
    pub fn page_params(&self) -> Vec<&Param> {
        if self.rules().template().is_some() { Vec::new() } else { self.params() }
    }
}
