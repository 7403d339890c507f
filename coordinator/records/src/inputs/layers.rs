//! Takes compression off a file, and reads binary formats as text, whatever contains the file.

use std::io::{self, BufReader, Read};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use super::streams::{Bytestream, peeked};
use super::{binary, encoding};

/// Most layers around a text: compressions, and archives within archives.
pub(crate) const MAX_LAYERS: usize = 6;
/// Longest magic bytes.
const MAGIC_BYTES: usize = 8;
/// Memory for decompressing xz, which can ask for any size.
const XZ_MEMORY_BYTES: u64 = 256 << 20;

/// What a text is in.
#[derive(Debug, Default)]
pub struct Layers {
    /// Compressions and binary formats, the outermost first.
    pub containers: Vec<&'static str>,
    /// How characters are stored.
    pub encoding: &'static str,
}

/// A compression of a single stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

impl Compression {
    /// The compression of bytes that begin with `head`.
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(Self::Bzip2),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }

    /// The decompressed bytes. Several members after each other are one text.
    ///
    /// # Errors
    /// If the decoder can't start.
    pub fn decoder<'s>(self, stream: Box<dyn Read + Send + 's>) -> io::Result<Box<dyn Read + Send + 's>> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(stream))),
            Self::Zstd => Box::new(zstd::Decoder::new(stream)?),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(stream)),
            Self::Xz => {
                let decoder = Stream::new_stream_decoder(XZ_MEMORY_BYTES, CONCATENATED)?;
                Box::new(XzDecoder::new_stream(stream, decoder))
            }
        })
    }
}

/// The text of a file: decompressed, UTF-16 and UTF-32 as UTF-8, and the records of binary formats as text; and what it
/// is in.
///
/// # Errors
/// Why it can't be read.
pub fn text_of(stream: Bytestream) -> Result<(Bytestream, Layers), String> {
    let (head, stream, mut layers) = decompressed(stream)?;
    let Some(format) = binary::format_of(&head) else {
        let (text, encoding) = encoding::decoded(stream);
        layers.encoding = encoding;
        return Ok((text, layers));
    };
    layers.containers.push(format.name);
    let failed = |error| format!("the file can't be read as {}: {error}", format.name);
    (format.read)(stream).map(|text| (text, layers)).map_err(failed)
}

/// The text of a file; `None` if it is in a binary format.
///
/// # Errors
/// Why it can't be read.
pub(crate) fn text_unless_binary(stream: Bytestream) -> Result<Option<Bytestream>, String> {
    let (head, stream, _) = decompressed(stream)?;
    Ok(binary::format_of(&head).is_none().then(|| encoding::decoded(stream).0))
}

/// The decompressed bytes, the first of them, and what they were in.
fn decompressed(mut stream: Bytestream) -> Result<(Vec<u8>, Bytestream, Layers), String> {
    let mut layers = Layers { encoding: "UTF-8", ..Layers::default() };
    for _ in 0..=MAX_LAYERS {
        let (head, whole) = peeked(stream, MAGIC_BYTES);
        let Some(compression) = Compression::of(&head) else { return Ok((head, whole, layers)) };
        layers.containers.push(compression.name());
        stream = compression.decoder(whole).map_err(|error| error.to_string())?;
    }
    Err(format!(
        "the file is compressed more than {MAX_LAYERS} times: decompress it, and import what comes out"
    ))
}
