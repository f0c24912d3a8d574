//! Values of a page parameter with which the first page is asked for: such a request names no page in the middle.

use super::detect::{self, PageParam};
use super::request::Param;
use super::styles::Style;

/// Returns true for a value with which a walk of this style begins: none, the configured one, `*` for a token, or the first number.
pub fn is_first_value(style: &Style, param: &Param, text: &str) -> bool {
    let counts_pages = detect::page_param(param.last_name()) == Some(PageParam::Page);
    let is_blank = || matches!(text, "" | "null" | "*") || counts_pages && matches!(text, "0" | "1");
    style.rules().is_first_value(param, text) || !style.is_numbered() && is_blank()
}
