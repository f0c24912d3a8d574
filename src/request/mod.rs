//! What the client asked for: a stream in some format, or the upstream's own answer.

mod accept;
mod prefer;

use http::request::Parts;
use http::{Method, Version, header};
use url::form_urlencoded;

use crate::config::Collection;
use crate::pagination::{Order, Param};

pub use accept::MediaType;

/// One client request's wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The upstream's own answer, untouched.
    Forward,
    /// The whole collection, a record a line.
    Stream {
        /// What it is labelled as.
        media_type: MediaType,
        /// In which order its parts may leave, where the client has a wish.
        order: Option<Order>,
    },
}

/// Why a wish for a stream can't be granted; the upstream is not troubled with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAsk {
    #[error("unknown format `{format}` in the parameter `{param}`")]
    Format { param: String, format: String },
    #[error("a stream can't be sent over HTTP/1.0, which has no way to tell a whole one from a broken one")]
    Http10,
    #[error("a stream can't be resumed: the request has a `{0}` field")]
    Partial(http::HeaderName),
}

impl Ask {
    /// Reads the head of a request to a collection.
    pub fn read(head: &Parts, collection: &Collection, format_param: &str) -> Result<Self, BadAsk> {
        let Some(media_type) = wanted(head, format_param)? else { return Ok(Self::Forward) };
        let walked = match head.method {
            Method::GET | Method::HEAD => collection.method == Method::GET || collection.body.is_some(),
            ref method => *method == collection.method,
        };
        if !walked || names_a_page(head, collection) {
            return Ok(Self::Forward);
        }
        if head.version < Version::HTTP_11 {
            return Err(BadAsk::Http10);
        }
        for partial in [header::RANGE, header::IF_RANGE] {
            if head.headers.contains_key(&partial) {
                return Err(BadAsk::Partial(partial));
            }
        }
        Ok(Self::Stream { media_type, order: prefer::order(&head.headers) })
    }
}

fn wanted(head: &Parts, format_param: &str) -> Result<Option<MediaType>, BadAsk> {
    let query = head.uri.query().unwrap_or_default();
    let format = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == format_param);
    match format {
        Some((_, format)) => match MediaType::of_format(&format) {
            Some(media_type) => Ok(Some(media_type)),
            None => Err(BadAsk::Format { param: format_param.to_owned(), format: format.into_owned() }),
        },
        None => Ok(MediaType::accepted(&head.headers)),
    }
}

/// Who passes the collection's own page parameter wants that page. Where the parameter stands in the body, that is only known
/// when the body has been read: the gateway looks at it then, and forwards the request all the same.
fn names_a_page(head: &Parts, collection: &Collection) -> bool {
    let params = collection.pagination.style.page_params();
    let query = head.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .any(|(name, _)| params.iter().any(|param| matches!(param, Param::Query(own) if *own == name)))
}
