//! The messages between a coordinator and the process of a query: the request on standard input, frames on standard output.

use std::io::{self, Read, Write};

use hindcast_base::{Error, ErrorKind};
use hindcast_node::{code_of, kind_of};
use prost::Message;
use tonic::{Code, Status};

use super::statement::Statement;

/// Most bytes of a frame, which is a part of the result or an outline.
pub(super) const FRAME_BYTES: usize = 8 << 20;

/// The request to a process.
#[derive(Clone, PartialEq, Message)]
pub(super) struct QueryRequest {
    #[prost(message, required, tag = "1")]
    pub(super) statement: Statement,
    /// URL of the state.
    #[prost(string, tag = "2")]
    pub(super) state: String,
    /// Whether the statement is executed, not only planned.
    #[prost(bool, tag = "3")]
    pub(super) execute: bool,
    /// Most rows of the result.
    #[prost(uint64, tag = "4")]
    pub(super) rows: u64,
    /// Seconds after which the process ends in any case.
    #[prost(uint64, tag = "5")]
    pub(super) seconds: u64,
    /// Memory for grouping, sorting and joining, in bytes.
    #[prost(uint64, tag = "6")]
    pub(super) memory_bytes: u64,
    /// Bytes that may be spilled.
    #[prost(uint64, tag = "7")]
    pub(super) scratch_bytes: u64,
    /// Folder for spill files.
    #[prost(string, tag = "8")]
    pub(super) scratch: String,
}

/// The schemas of a query's rows and parameters, as Arrow IPC messages.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Outline {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) rows: bytes::Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) parameters: bytes::Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct Failure {
    /// The gRPC code of the kind of the error.
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    text: String,
}

/// A part of the answer of a process.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Frame {
    /// An encoded [`Outline`].
    Outline(Vec<u8>),
    /// An encoded `FlightData`.
    Rows(Vec<u8>),
    /// The query failed.
    Failed(ErrorKind, String),
    /// The answer is complete.
    End,
}

const OUTLINE: u8 = 1;
const ROWS: u8 = 2;
const FAILED: u8 = 3;
const END: u8 = 4;

impl Frame {
    pub(super) fn failed(error: &Error) -> Self {
        Self::Failed(error.kind(), error.to_string())
    }

    /// Writes the frame: its kind, its length, its bytes.
    ///
    /// # Errors
    /// If `target` fails or the frame is too long.
    pub(super) fn write(&self, target: &mut impl Write) -> io::Result<()> {
        let failure;
        let (kind, bytes) = match self {
            Self::Outline(bytes) => (OUTLINE, bytes.as_slice()),
            Self::Rows(bytes) => (ROWS, bytes.as_slice()),
            Self::Failed(kind, text) => {
                failure = Failure { code: code_of(*kind) as i32, text: text.clone() }.encode_to_vec();
                (FAILED, failure.as_slice())
            }
            Self::End => (END, &[] as &[u8]),
        };
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length as usize <= FRAME_BYTES);
        let length = length.ok_or_else(|| io::Error::other("a frame is too long"))?;
        target.write_all(&[kind])?;
        target.write_all(&length.to_le_bytes())?;
        target.write_all(bytes)
    }

    /// Reads the next frame; `None` at the end of `source`.
    ///
    /// # Errors
    /// If `source` fails or the bytes are not a frame.
    pub(super) fn read(source: &mut impl Read) -> io::Result<Option<Self>> {
        let mut kind = [0];
        if source.read(&mut kind)? == 0 {
            return Ok(None);
        }
        let mut length = [0; 4];
        source.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > FRAME_BYTES {
            return Err(io::Error::other("a frame is too long"));
        }
        let mut bytes = vec![0; length];
        source.read_exact(&mut bytes)?;
        Ok(Some(match kind[0] {
            OUTLINE => Self::Outline(bytes),
            ROWS => Self::Rows(bytes),
            FAILED => {
                let failure = Failure::decode(bytes.as_slice()).map_err(io::Error::other)?;
                Self::Failed(kind_of(&Status::new(Code::from_i32(failure.code), "")), failure.text)
            }
            END => Self::End,
            _ => return Err(io::Error::other("a frame of an unknown kind")),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written() {
        let frames = [
            Frame::Outline(vec![1, 2]),
            Frame::Rows(Vec::new()),
            Frame::Failed(ErrorKind::InvalidInput, "no such table".into()),
            Frame::End,
        ];
        let mut sent = Vec::new();
        frames.iter().for_each(|frame| frame.write(&mut sent).unwrap());
        let mut source = sent.as_slice();
        for frame in frames {
            assert_eq!(Frame::read(&mut source).unwrap(), Some(frame));
        }
        assert_eq!(Frame::read(&mut source).unwrap(), None);
        assert!(Frame::read(&mut &sent[..4]).is_err());
        assert!(Frame::read(&mut [ROWS, 255, 255, 255, 255].as_slice()).is_err());
        assert!(Frame::Rows(vec![0; FRAME_BYTES + 1]).write(&mut Vec::new()).is_err());
    }
}
