//! Converts rows of Parquet and Avro files to NDJSON, so that they are read like other records.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{
    Array, AsArray, BinaryArray, BinaryViewArray, FixedSizeBinaryArray, LargeBinaryArray, UnionArray,
};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use arrow::json::writer::{
    Encoder, EncoderFactory, EncoderOptions, LineDelimited, NullableEncoder, make_encoder,
};
use arrow::json::{Writer, WriterBuilder};

/// A writer of rows as NDJSON. Binary values are written as text if they are text, otherwise in hexadecimal.
pub fn writer<W: Write>(target: W) -> Writer<W, LineDelimited> {
    WriterBuilder::new().with_encoder_factory(Arc::new(TextOfBytes)).build(target)
}

/// Encodes binary values that are text, which older writers store without the text type.
#[derive(Debug)]
struct TextOfBytes;

impl EncoderFactory for TextOfBytes {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Binary => Box::new(Bytes(array.as_binary::<i32>())),
            DataType::LargeBinary => Box::new(Bytes(array.as_binary::<i64>())),
            DataType::BinaryView => Box::new(Bytes(array.as_binary_view())),
            DataType::FixedSizeBinary(_) => Box::new(Bytes(array.as_fixed_size_binary())),
            DataType::Union(fields, _) => {
                let array = array.as_union();
                let of_type = |(id, field)| {
                    make_encoder(field, array.child(id).as_ref(), options).map(|encoder| (id, encoder))
                };
                let types = fields.iter().map(of_type).collect::<Result<_, _>>()?;
                Box::new(Union { array, types })
            }
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

/// Values of several types, which Avro's unions have.
struct Union<'a> {
    array: &'a UnionArray,
    types: HashMap<i8, NullableEncoder<'a>>,
}

impl Encoder for Union<'_> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let place = self.array.value_offset(index);
        match self.types.get_mut(&self.array.type_id(index)) {
            Some(encoder) if !encoder.is_null(place) => encoder.encode(place, out),
            _ => out.extend_from_slice(b"null"),
        }
    }
}

struct Bytes<'a, A>(&'a A);

/// A binary array of any type.
trait Values {
    fn bytes(&self, index: usize) -> &[u8];
}

impl Values for BinaryArray {
    fn bytes(&self, index: usize) -> &[u8] {
        self.value(index)
    }
}

impl Values for LargeBinaryArray {
    fn bytes(&self, index: usize) -> &[u8] {
        self.value(index)
    }
}

impl Values for BinaryViewArray {
    fn bytes(&self, index: usize) -> &[u8] {
        self.value(index)
    }
}

impl Values for FixedSizeBinaryArray {
    fn bytes(&self, index: usize) -> &[u8] {
        self.value(index)
    }
}

impl<A: Values> Encoder for Bytes<'_, A> {
    fn encode(&mut self, index: usize, out: &mut Vec<u8>) {
        let text = format_value(self.0.bytes(index));
        // Text can always be JSON.
        if let Ok(json) = serde_json::to_vec(&text) {
            out.extend(json);
        }
    }
}

/// Bytes as text if they are UTF-8 without control characters, without the NUL bytes that pad a fixed size; otherwise
/// in hexadecimal.
pub(crate) fn format_value(bytes: &[u8]) -> String {
    let filled = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let is_text =
        |text: &&str| !text.chars().any(|character| character.is_control() && !character.is_whitespace());
    match std::str::from_utf8(&bytes[..filled]).ok().filter(is_text) {
        Some(text) if filled > 0 || bytes.is_empty() => text.to_owned(),
        _ => bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_if_possible() {
        assert_eq!(format_value(b"Palo Alto\n"), "Palo Alto\n");
        assert_eq!(format_value("müller".as_bytes()), "müller");
        assert_eq!(format_value(b"10.1.1.5\0\0"), "10.1.1.5");
        assert_eq!((format_value(b""), format_value(b"\0\0")), (String::new(), "0000".to_owned()));
        assert_eq!(
            (format_value(b"\x0a\x01\x01\x05"), format_value(b"\xff\x00")),
            ("0a010105".into(), "ff00".into())
        );
    }
}
