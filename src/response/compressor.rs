//! Compressor of a content coding, in steps that do no IO: one gzip member (RFC 1952) or one zstd frame (RFC 8878).
//!
//! Levels are those of the same cost: zlib-rs's level 2 and zstd's level 1. 30 MB of orders become 3.8 MB at 370 MB/s and 3.0 MB at 660 MB/s,
//! where `gzip -1` makes 4.0 MB at 130 MB/s. Level 1 of zlib-rs (5.0 MB at 590 MB/s) has fixed codes, level 6 takes 3.3 times the work of 2.
//!
//! Several members or frames would be legal, but decoders stop behind the first or refuse the second. The coding is ended by
//! [`CompressorStep::Finish`] alone: a compressor that is dropped leaves a text that its decoder knows to be cut.

use std::fmt;

use bytes::{Bytes, BytesMut};
use flate2::{Compress, Compression, FlushCompress, Status};
use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

use crate::config::ContentCoding;

/// Window of zstd, 512 KiB: that of level 1. Decoders refuse more than 8 MiB (RFC 9659).
const ZSTD_WINDOW_LOG: u32 = 19;

/// Window of deflate, 32 KiB.
const DEFLATE_WINDOW_LOG: u8 = 15;

/// Most bytes of a coded piece.
const PIECE: usize = 16 * 1024;

/// Smallest space that is given to a codec: deflate repeats the mark of a flush where the space ends within it.
const LEAST_SPACE: usize = 64;

/// Work of a compressor on its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CompressorStep {
    /// Takes the input, and may keep its code.
    Take,
    /// Takes the input, and gives all of its code.
    Flush,
    /// Takes the input, and ends the coding.
    Finish,
}

/// The coding failed, as codecs do without memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} coding of the stream failed")]
pub(crate) struct CodingError(&'static str);

pub(crate) struct Compressor {
    state: CompressorState,
    /// Zeros that the next piece is written over.
    space: BytesMut,
}

enum CompressorState {
    Gzip(Compress),
    Zstd(CCtx<'static>),
}

impl Compressor {
    pub(crate) fn new(coding: ContentCoding) -> Self {
        let state = match coding {
            ContentCoding::Gzip => CompressorState::Gzip(Compress::new_gzip(Compression::new(2), DEFLATE_WINDOW_LOG)),
            ContentCoding::Zstd => CompressorState::Zstd(zstd()),
        };
        Self { state, space: BytesMut::new() }
    }

    /// Takes bytes from the front of `input`. Returns a piece of code, which may be empty, and whether the step is done: all of the input is
    /// taken, and nothing is left to be given. A step that is not done is called again.
    pub(crate) fn step(&mut self, input: &mut &[u8], step: CompressorStep) -> Result<(Bytes, bool), CodingError> {
        if self.space.len() < LEAST_SPACE {
            self.space = BytesMut::zeroed(PIECE);
        }
        let (taken, given, is_given) = match &mut self.state {
            CompressorState::Gzip(deflater) => deflate(deflater, input, &mut self.space, step)?,
            CompressorState::Zstd(context) => zstd_step(context, input, &mut self.space, step)?,
        };
        *input = &input[taken..];
        Ok((self.space.split_to(given).freeze(), is_given && input.is_empty()))
    }
}

fn zstd() -> CCtx<'static> {
    let mut context = CCtx::create();
    for parameter in
        [CParameter::CompressionLevel(1), CParameter::WindowLog(ZSTD_WINDOW_LOG), CParameter::ChecksumFlag(true)]
    {
        context.set_parameter(parameter).expect("level 1, a window of 19 and a checksum are known to zstd");
    }
    context
}

/// Returns the number of bytes taken and given, and whether all code was given that the step asks for.
fn deflate(
    state: &mut Compress,
    input: &[u8],
    space: &mut [u8],
    step: CompressorStep,
) -> Result<(usize, usize, bool), CodingError> {
    let flush = match step {
        CompressorStep::Take => FlushCompress::None,
        CompressorStep::Flush => FlushCompress::Sync,
        CompressorStep::Finish => FlushCompress::Finish,
    };
    let (taken, given) = (state.total_in(), state.total_out());
    let status = state.compress(input, space, flush).map_err(|_| CodingError("gzip"))?;
    let (taken, given) = ((state.total_in() - taken) as usize, (state.total_out() - given) as usize);
    let is_given = match step {
        CompressorStep::Take => true,
        // A flush that has filled the space may not be over (zlib's manual, on deflate).
        CompressorStep::Flush => given < space.len(),
        CompressorStep::Finish => status == Status::StreamEnd,
    };
    Ok((taken, given, is_given))
}

fn zstd_step(
    context: &mut CCtx<'static>,
    input: &[u8],
    space: &mut [u8],
    step: CompressorStep,
) -> Result<(usize, usize, bool), CodingError> {
    let directive = match step {
        CompressorStep::Take => ZSTD_EndDirective::ZSTD_e_continue,
        CompressorStep::Flush => ZSTD_EndDirective::ZSTD_e_flush,
        CompressorStep::Finish => ZSTD_EndDirective::ZSTD_e_end,
    };
    let (mut input, mut output) = (InBuffer::around(input), OutBuffer::around(space));
    let left = context.compress_stream2(&mut output, &mut input, directive).map_err(|_| CodingError("zstd"))?;
    Ok((input.pos(), output.pos(), step == CompressorStep::Take || left == 0))
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let coding = match self.state {
            CompressorState::Gzip(_) => "gzip",
            CompressorState::Zstd(_) => "zstd",
        };
        f.debug_tuple("Compressor").field(&coding).finish()
    }
}
