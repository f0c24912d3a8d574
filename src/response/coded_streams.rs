//! Streams that have a content coding: a limited number at a time, since each of them holds the memory of a compressor.

use std::sync::Arc;

use http::{Method, Response, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::Body;
use super::compressed_body::CompressedBody;
use crate::config::{Codings, ContentCoding};
use crate::request::{RequestError, StreamOptions};

/// Content codings that are offered, and the streams that have one; clones share them.
#[derive(Clone, Debug)]
pub struct CodedStreams {
    offered: Arc<[ContentCoding]>,
    places: Arc<Semaphore>,
    limit: usize,
}

/// Content coding of one response.
#[derive(Debug)]
pub struct StreamCoding {
    pub coding: ContentCoding,
    /// None for a HEAD, which has no body.
    place: Option<OwnedSemaphorePermit>,
}

impl CodedStreams {
    pub fn new(codings: &Codings) -> Self {
        let limit = codings.streams.min(Semaphore::MAX_PERMITS);
        Self { offered: codings.offered.clone().into(), places: Arc::new(Semaphore::new(limit)), limit }
    }

    /// Returns `true` where the representation of a stream depends on `Accept-Encoding`.
    pub fn are_offered(&self) -> bool {
        !self.offered.is_empty()
    }

    /// Returns the number of streams that have a coding.
    pub fn open(&self) -> usize {
        self.limit - self.places.available_permits()
    }

    /// Checks that the client accepts a coding that is offered, or none.
    ///
    /// # Errors
    /// Fails where the client accepts neither.
    pub fn check(&self, options: &StreamOptions) -> Result<(), RequestError> {
        options.coding(&self.offered).map(|_| ())
    }

    /// Takes a place for the response; none for a response without a coding, also where all places are taken.
    ///
    /// # Errors
    /// Fails where the client does not accept that.
    pub fn enter(&self, options: &StreamOptions) -> Result<Option<StreamCoding>, RequestError> {
        let Some(coding) = options.coding(&self.offered)? else { return Ok(None) };
        if options.method == Method::HEAD {
            return Ok(Some(StreamCoding { coding, place: None }));
        }
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Ok(Some(StreamCoding { coding, place: Some(place) })),
            Err(_) if options.accept_encoding.refuses_identity() => Err(RequestError::Coding),
            Err(_) => Ok(None),
        }
    }
}

impl StreamCoding {
    /// Codes the body of a response whose head says so: not that of a 304 or of a problem report.
    pub fn apply(self, response: Response<Body>) -> Response<Body> {
        match self.place {
            Some(place) if response.headers().contains_key(header::CONTENT_ENCODING) => {
                response.map(|body| Body::new(CompressedBody::new(body, self.coding, place)))
            }
            _ => response,
        }
    }
}
