//! Foreign decoders behind one function: some bytes in, some decoded bytes out.

#![allow(
    clippy::disallowed_types,
    reason = "the one place for bare decoders: their caller holds what they give to its limits"
)]

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::{BadCoding, Coding, ZSTD_WINDOW_LOG};

/// The window of gzip and deflate, which their formats hold to 32 KiB.
const DEFLATE_WINDOW_LOG: u8 = 15;

/// A foreign decoder in the middle of its stream.
pub(super) enum Codec {
    Gzip(Decompress),
    /// None before the first byte, which tells the zlib format from deflate without a header.
    Deflate(Option<Decompress>),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd(DCtx<'static>),
}

/// The result of one step.
pub(super) struct CodecStep {
    pub(super) consumed: usize,
    pub(super) produced: usize,
    /// The stream has come to its end, checksum included.
    pub(super) ended: bool,
}

impl Codec {
    pub(super) fn new(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Self::Gzip(Decompress::new_gzip(DEFLATE_WINDOW_LOG)),
            Coding::Deflate => Self::Deflate(None),
            Coding::Brotli => {
                // Strict refuses the windows beyond RFC 7932's 16 MiB that a later draft allows.
                let [bytes, words, codes] = [(); 3].map(|()| StandardAlloc::default());
                Self::Brotli(Box::new(BrotliState::new_strict(bytes, words, codes)))
            }
            Coding::Zstd => {
                let mut context = DCtx::create();
                let limit = context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG));
                limit.expect("23 is a window that zstd knows");
                Self::Zstd(context)
            }
        }
    }

    /// Decodes until the input is used up, the output is full or the stream ends.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<CodecStep, BadCoding> {
        match self {
            Self::Gzip(state) => inflate(state, input, output).map_err(|what| BadCoding::Corrupt(Coding::Gzip, what)),
            Self::Deflate(state) => {
                let is_zlib = input.first().copied().is_some_and(starts_zlib);
                let state = state.get_or_insert_with(|| Decompress::new(is_zlib));
                inflate(state, input, output).map_err(|what| BadCoding::Corrupt(Coding::Deflate, what))
            }
            Self::Brotli(state) => unbrotli(state, input, output),
            Self::Zstd(context) => unzstd(context, input, output),
        }
    }
}

/// `deflate` is the zlib format (RFC 9110 §8.4.1.2), but some servers send it without zlib's header. The method in that
/// header is 8, and raw deflate with these four bits would be a stored block whose padding isn't zero.
fn starts_zlib(first: u8) -> bool {
    first & 0x0f == 8
}

fn inflate(state: &mut Decompress, input: &[u8], output: &mut [u8]) -> Result<CodecStep, String> {
    let (consumed, produced) = (state.total_in(), state.total_out());
    let status = state.decompress(input, output, FlushDecompress::None);
    let status = status.map_err(|error| error.message().unwrap_or("it needs a dictionary").to_owned())?;
    Ok(CodecStep {
        consumed: (state.total_in() - consumed) as usize,
        produced: (state.total_out() - produced) as usize,
        ended: status == Status::StreamEnd,
    })
}

fn unbrotli(
    state: &mut BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    input: &[u8],
    output: &mut [u8],
) -> Result<CodecStep, BadCoding> {
    let (mut input_left, mut consumed) = (input.len(), 0);
    let (mut output_left, mut produced) = (output.len(), 0);
    let result = BrotliDecompressStream(
        &mut input_left,
        &mut consumed,
        input,
        &mut output_left,
        &mut produced,
        output,
        &mut 0,
        state,
    );
    let ended = match result {
        BrotliResult::ResultSuccess => true,
        BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => false,
        BrotliResult::ResultFailure => {
            let what = format!("{:?}", state.error_code);
            let what = what.trim_start_matches("BROTLI_DECODER_ERROR_").replace('_', " ").to_lowercase();
            return Err(BadCoding::Corrupt(Coding::Brotli, what));
        }
    };
    Ok(CodecStep { consumed, produced, ended })
}

fn unzstd(context: &mut DCtx<'static>, input: &[u8], output: &mut [u8]) -> Result<CodecStep, BadCoding> {
    let (mut input, mut output) = (InBuffer::around(input), OutBuffer::around(output));
    match context.decompress_stream(&mut output, &mut input) {
        Ok(left) => Ok(CodecStep { consumed: input.pos(), produced: output.pos(), ended: left == 0 }),
        // zstd's functions say an error as its negated number.
        Err(code) if code.wrapping_neg() == ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge as usize => {
            Err(BadCoding::Window)
        }
        Err(code) => Err(BadCoding::Corrupt(Coding::Zstd, zstd_safe::get_error_name(code).to_lowercase())),
    }
}
