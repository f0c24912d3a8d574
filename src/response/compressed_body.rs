//! A body in a content coding, which ends cleanly only where the body that it codes does.
//!
//! | the inner body | this body |
//! |---|---|
//! | gives bytes | codes them; the code of the first ones is given at once |
//! | is pending | gives the code of at least 16 KiB at once, of less 50 ms after the last such code at the earliest |
//! | gives trailers or ends | ends the coding, gives the trailers, ends |
//! | fails | drops the compressor, and fails |
//!
//! So the last bytes of the coding (a checksum, an end mark) are the proof of the end a second time: a decoder knows a broken stream from a
//! whole one also where something on the way ends it cleanly. Bytes that the inner body holds back never come here.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::Frame;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use tower::BoxError;

use super::body::Body;
use super::compressor::{CodingError, Compressor, CompressorStep};
use crate::config::ContentCoding;

/// Shortest time between two flushes of fewer bytes than `FLUSH_AT`, and longest time that bytes wait in the compressor while the inner body is
/// pending. The time counts from the last flush, not from the bytes: a record of a trickle does not wait.
const FLUSH_SPACING: Duration = Duration::from_millis(50);

/// Number of bytes in the compressor that don't wait. A flush each 16 KiB costs 1.5 % of the size and 10 % of the speed of gzip.
const FLUSH_AT: usize = 16 * 1024;

/// Most bytes that a poll codes, so that no other task of the thread waits for more than about 0.4 ms.
const POLL: usize = 64 * 1024;

/// A body in a content coding.
#[derive(Debug)]
pub(super) struct CompressedBody {
    inner: Body,
    state: CodedState,
    compressor: Option<Compressor>,
    /// Bytes of the inner body that are not coded yet.
    input: Bytes,
    /// Number of coded bytes whose code may still be in the compressor.
    unflushed: usize,
    next_flush: Instant,
    /// Wait for `next_flush`.
    timer: Option<Pin<Box<Sleep>>>,
    trailers: Option<HeaderMap>,
    /// Place among the streams that may have a coding.
    _place: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CodedState {
    /// Before the first bytes.
    Fresh,
    Open,
    Flushing,
    Finishing,
    Ended,
    Broken,
}

impl CompressedBody {
    pub(super) fn new(inner: Body, coding: ContentCoding, place: OwnedSemaphorePermit) -> Self {
        Self {
            inner,
            state: CodedState::Fresh,
            compressor: Some(Compressor::new(coding)),
            input: Bytes::new(),
            unflushed: 0,
            next_flush: Instant::now(),
            timer: None,
            trailers: None,
            _place: place,
        }
    }

    /// Asks the inner body for its next bytes, or for the reason to flush or to finish.
    fn poll_inner(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match http_body::Body::poll_frame(Pin::new(&mut self.inner), context) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) => self.input = bytes,
                // The end follows.
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            },
            Poll::Ready(None) => self.state = CodedState::Finishing,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
            Poll::Pending if self.unflushed == 0 => return Poll::Pending,
            Poll::Pending => {
                let at = self.next_flush;
                if self.unflushed < FLUSH_AT && Instant::now() < at {
                    let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
                    ready!(timer.as_mut().poll(context));
                }
                self.state = CodedState::Flushing;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Codes at most `most` bytes. Returns the number of bytes that were taken, and their code as far as it is given.
    fn code(&mut self, most: usize) -> Result<(usize, Bytes), CodingError> {
        let piece = &self.input[..most.min(self.input.len())];
        let is_all = piece.len() == self.input.len();
        let step = match self.state {
            CodedState::Finishing => CompressorStep::Finish,
            CodedState::Fresh | CodedState::Flushing if is_all => CompressorStep::Flush,
            _ => CompressorStep::Take,
        };
        let Some(compressor) = &mut self.compressor else { return Ok((0, Bytes::new())) };
        let mut rest = piece;
        let (code, is_done) = compressor.step(&mut rest, step)?;
        let taken = piece.len() - rest.len();
        self.input.advance(taken);
        self.unflushed += taken;
        match step {
            CompressorStep::Finish if is_done => (self.state, self.compressor) = (CodedState::Ended, None),
            CompressorStep::Flush if is_done => {
                (self.state, self.unflushed, self.timer) = (CodedState::Open, 0, None);
                self.next_flush = Instant::now() + FLUSH_SPACING;
            }
            CompressorStep::Flush => self.state = CodedState::Flushing,
            CompressorStep::Finish | CompressorStep::Take => {}
        }
        Ok((taken, code))
    }

    fn poll_code(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BoxError>> {
        let mut left = POLL;
        loop {
            match self.state {
                CodedState::Ended => return Poll::Ready(Ok(self.trailers.take().map(Frame::trailers))),
                CodedState::Broken => return Poll::Ready(Err("the stream was broken before".into())),
                CodedState::Fresh | CodedState::Open if self.input.is_empty() => ready!(self.poll_inner(context))?,
                CodedState::Fresh | CodedState::Open | CodedState::Flushing | CodedState::Finishing => {
                    let (taken, code) = self.code(left)?;
                    if !code.is_empty() {
                        return Poll::Ready(Ok(Some(Frame::data(code))));
                    }
                    left -= taken;
                    if left == 0 {
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
            }
        }
    }
}

impl http_body::Body for CompressedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let result = ready!(self.poll_code(context));
        if result.is_err() {
            // The coding is not ended: its decoder reports a cut.
            (self.state, self.compressor) = (CodedState::Broken, None);
        }
        Poll::Ready(result.transpose())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::BytesMut;
    use http::{HeaderValue, header};
    use http_body::Body as _;
    use http_body_util::BodyExt;
    use proptest::prelude::*;
    use tokio::sync::Semaphore;

    use super::super::body::{BodyLength, StreamBody};
    use super::super::formatted_log::RecordSource;
    use super::super::stream_ending::StreamEnding;
    use super::*;
    use crate::batch::Batch;
    use crate::error::{Failure, Fault};
    use crate::pagination::verdict::Verdict;
    use crate::snapshot::{Seal, Writer, transient_log};
    use crate::upstream::coding::{BadCoding, Decoder};

    const BOTH: [(ContentCoding, &str); 2] = [(ContentCoding::Gzip, "gzip"), (ContentCoding::Zstd, "zstd")];

    /// A log, and the coded body of its stream.
    fn coded(coding: ContentCoding) -> (Writer, CompressedBody) {
        let (writer, log) = transient_log(8 << 20);
        let body =
            StreamBody::new(RecordSource::Log(log.reader(0, None).unwrap()), BodyLength::Open, StreamEnding::Plain);
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        (writer, CompressedBody::new(Body::new(body), coding, place))
    }

    fn batch(lines: impl Into<Bytes>) -> Batch {
        let lines = lines.into();
        let records = lines.iter().filter(|byte| **byte == b'\n').count();
        Batch::new(lines, records as u64)
    }

    fn decoder(coding: &'static str) -> Decoder {
        Decoder::new(&[(header::CONTENT_ENCODING, HeaderValue::from_static(coding))].into_iter().collect())
    }

    fn decode(decoder: &mut Decoder, mut code: Bytes) -> Vec<u8> {
        let mut text = BytesMut::new();
        while let Some(piece) = decoder.next(&mut code).unwrap() {
            text.extend_from_slice(&piece);
        }
        text.to_vec()
    }

    /// Returns all text of a body, the end of its coding, and the error that ended the body.
    async fn read(mut body: CompressedBody, coding: &'static str) -> (Vec<u8>, Result<(), BadCoding>, Option<String>) {
        let (mut decoder, mut text) = (decoder(coding), Vec::new());
        loop {
            match body.frame().await {
                Some(Ok(frame)) => text.extend(decode(&mut decoder, frame.into_data().unwrap())),
                None => return (text, decoder.finish(), None),
                Some(Err(error)) => {
                    assert!(body.frame().await.is_some_and(|again| again.is_err()), "an error is the last word");
                    return (text, decoder.finish(), Some(error.to_string()));
                }
            }
        }
    }

    /// Polls once, outside of a task.
    fn poll(body: &mut CompressedBody) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(body).poll_frame(&mut Context::from_waker(std::task::Waker::noop()))
    }

    /// Polls until the body is pending although nothing is left to be coded, and returns the text that came.
    fn at_once(body: &mut CompressedBody, decoder: &mut Decoder) -> Vec<u8> {
        let mut text = Vec::new();
        loop {
            match poll(body) {
                Poll::Ready(frame) => text.extend(decode(decoder, frame.unwrap().unwrap().into_data().unwrap())),
                Poll::Pending if body.input.is_empty() => return text,
                Poll::Pending => {}
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_bytes_and_16_kib_leave_at_once_and_less_50_ms_after_a_flush() {
        for (coding, name) in BOTH {
            let ((mut writer, mut body), mut decoder) = (coded(coding), decoder(name));
            assert!(poll(&mut body).is_pending());
            writer.append(batch("[1]\n[2]\n"));
            assert_eq!(at_once(&mut body, &mut decoder), b"[1]\n[2", "all that is visible");
            writer.append(batch("[3]\n"));
            assert_eq!(at_once(&mut body, &mut decoder), b"");
            let started = Instant::now();
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            // A timer may fire a millisecond late.
            assert!((50..=51).contains(&started.elapsed().as_millis()), "{name}: {:?}", started.elapsed());
            assert_eq!(decode(&mut decoder, frame), b"]\n[3", "{name}");
            let line = format!("[\"{}\"]\n", "x".repeat(FLUSH_AT));
            writer.append(batch(line.clone()));
            assert_eq!(
                at_once(&mut body, &mut decoder),
                [b"]\n", &line.as_bytes()[..line.len() - 2]].concat(),
                "{name}"
            );
            tokio::time::advance(FLUSH_SPACING).await;
            writer.append(batch("[4]\n"));
            assert_eq!(at_once(&mut body, &mut decoder), b"]\n[4", "{name}: nothing was flushed for 50 ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_follows_all_that_was_visible_and_leaves_the_coding_open() {
        for (coding, name) in BOTH {
            let (mut writer, body) = coded(coding);
            writer.append(batch("[1]\n[2]\n"));
            writer.seal(Seal::Failed(Arc::new(Failure::new(Fault::Upstream, "page 3 broke", ""))));
            let (text, end, error) = read(body, name).await;
            assert_eq!((&text[..], error.as_deref()), (&b"[1]\n[2"[..], Some("page 3 broke")));
            assert!(matches!(end, Err(BadCoding::Cut(_))), "{name}: {end:?}");
            let (_, body) = coded(coding);
            let (text, _, error) = read(body, name).await;
            assert_eq!((&text[..], error.is_some()), (&b""[..], true), "a writer that is gone proves no end");
        }
    }

    #[tokio::test]
    async fn no_poll_codes_more_than_its_share() {
        for (coding, _) in BOTH {
            let (mut writer, mut body) = coded(coding);
            writer.append(batch([&vec![b' '; 1 << 20][..], b"1\n"].concat()));
            writer.seal(Seal::Complete(Verdict::in_test(1, 1)));
            let mut polls = 0;
            while !matches!(poll(&mut body), Poll::Ready(None)) {
                polls += 1;
            }
            assert!(polls > (1 << 20) / POLL, "{polls}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// The decoder gives the log's bytes for all batches, and its end is that of the stream.
        #[test]
        fn the_text_is_the_log(
            batches in prop::collection::vec(("[ -~]{0,40}", 0..800_usize, any::<u64>()), 0..20),
            is_complete in any::<bool>(),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            for (coding, name) in BOTH {
                let mut log = Vec::new();
                let (text, end, error) = runtime.block_on(async {
                    let (mut writer, body) = coded(coding);
                    let reading = tokio::spawn(read(body, name));
                    for (text, times, salt) in &batches {
                        let line = format!("{}\n", serde_json::json!([format!("{salt}{text}").repeat(*times)]));
                        log.extend_from_slice(line.as_bytes());
                        writer.append(batch(line));
                        if salt % 2 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                    writer.seal(if is_complete {
                        Seal::Complete(Verdict::in_test(1, 1))
                    } else {
                        Seal::Failed(Arc::new(Failure::new(Fault::Upstream, "broken", "")))
                    });
                    reading.await.unwrap()
                });
                if is_complete {
                    prop_assert!(text == log && end == Ok(()) && error.is_none());
                } else {
                    prop_assert!(text == log[..log.len().saturating_sub(2)] && error.is_some());
                    prop_assert!(text.is_empty() || matches!(end, Err(BadCoding::Cut(_))));
                }
            }
        }
    }
}
