//! Length of an answer that is passed to an HTTP/1.0 client, which can't tell a whole body without a length from a cut one.
//!
//! A body without a length is read to its end first, and gets one. Memory for it is bounded: by a body's size, and by the number of bodies
//! that are read at a time.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderValue, Response, Version, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use crate::response::{Body, BoxError, full};

/// Largest body that gets a length.
pub(super) const LARGEST: usize = 4 << 20;

/// Longest time for such a body.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// Number of bodies that are read at a time; others wait.
const AT_A_TIME: usize = 16;

const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(super) struct LengthBuffers(Arc<Semaphore>);

#[derive(Debug)]
pub(super) enum NoLength {
    /// Longer than [`LARGEST`] or [`LONGEST`].
    TooLong,
    /// As many bodies are read as may be.
    NoPlace,
    Broken(BoxError),
}

impl LengthBuffers {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_A_TIME)))
    }

    /// Returns the answer with a length, where a client of this version needs one.
    ///
    /// # Errors
    /// Fails where the body is too long, breaks, or finds no place: no byte of the answer has been sent.
    pub(super) async fn with_length(
        &self,
        version: Version,
        answer: Response<Body>,
    ) -> Result<Response<Body>, NoLength> {
        let (mut head, body) = answer.into_parts();
        if version >= Version::HTTP_11 || body.is_end_stream() || body.size_hint().exact().is_some() {
            return Ok(Response::from_parts(head, body));
        }
        let place = tokio::time::timeout(PATIENCE, Arc::clone(&self.0).acquire_owned()).await;
        let place = place.map_err(|_| NoLength::NoPlace)?.expect("the semaphore is never closed");
        let whole = tokio::time::timeout(LONGEST, whole(body)).await.map_err(|_| NoLength::TooLong)??;
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
        // The place is free when the client has the body: its errors, of which there are none, are mapped so that it holds the place.
        let held = full(whole).map_err(move |error| {
            let _held = &place;
            error
        });
        Ok(Response::from_parts(head, held.boxed_unsync()))
    }
}

/// Reads a body to its end; trailers, which HTTP/1.0 does not have, are dropped.
async fn whole(mut body: Body) -> Result<BytesMut, NoLength> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(NoLength::Broken)?.into_data() else { continue };
        if whole.len() + data.len() > LARGEST {
            return Err(NoLength::TooLong);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole)
}
