//! Decodes UTF-16, which spreadsheets write as "Unicode text", into UTF-8 as it is read.

use std::io::{self, Cursor, Read};

const CHUNK_BYTES: usize = 64 << 10;
/// Stands for what is not UTF-16: no byte of UTF-8, so that only its record is bad.
const INVALID: u8 = 0xff;

/// The reader itself, or one that decodes it if it begins with a byte order mark of UTF-16.
pub(super) fn decoded(mut reader: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::new();
    reader.by_ref().take(2).read_to_end(&mut head)?;
    let unit: fn([u8; 2]) -> u16 = match head.as_slice() {
        [0xff, 0xfe] => u16::from_le_bytes,
        [0xfe, 0xff] => u16::from_be_bytes,
        _ => return Ok(Box::new(Cursor::new(head).chain(reader))),
    };
    Ok(Box::new(Decoder { reader, unit, encoded: Vec::new(), decoded: Cursor::default() }))
}

struct Decoder {
    reader: Box<dyn Read + Send>,
    /// A code unit of two bytes.
    unit: fn([u8; 2]) -> u16,
    /// The bytes that were read and not decoded yet: a part of a character.
    encoded: Vec<u8>,
    decoded: Cursor<Vec<u8>>,
}

impl Decoder {
    /// Reads and decodes more. Returns whether there may be more after that.
    fn fill(&mut self) -> io::Result<bool> {
        let limit = (CHUNK_BYTES - self.encoded.len()) as u64;
        let is_end = self.reader.by_ref().take(limit).read_to_end(&mut self.encoded)? == 0;
        let mut units: Vec<u16> =
            self.encoded.as_chunks().0.iter().map(|bytes| (self.unit)(*bytes)).collect();
        // The first half of a surrogate pair waits for the second one.
        if !is_end && units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
            units.pop();
        }
        self.encoded.drain(..units.len() * 2);
        let mut text = std::mem::take(&mut self.decoded).into_inner();
        text.clear();
        for decoded in char::decode_utf16(units) {
            match decoded {
                Ok(c) => text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                Err(_) => text.push(INVALID),
            }
        }
        if is_end && !self.encoded.is_empty() {
            self.encoded.clear();
            text.push(INVALID);
        }
        self.decoded = Cursor::new(text);
        Ok(!is_end)
    }
}

impl Read for Decoder {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.decoded.read(out)?;
            if count > 0 || out.is_empty() {
                return Ok(count);
            }
            if !self.fill()? && self.decoded.get_ref().is_empty() {
                return Ok(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a few bytes at a time, so that characters span several reads.
    struct Trickle(Cursor<Vec<u8>>, u64);

    impl Read for Trickle {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            self.0.by_ref().take(self.1).read(out)
        }
    }

    fn read(bytes: Vec<u8>, at_a_time: u64) -> Vec<u8> {
        let mut text = Vec::new();
        decoded(Box::new(Trickle(Cursor::new(bytes), at_a_time))).unwrap().read_to_end(&mut text).unwrap();
        text
    }

    fn encoded(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        format!("\u{feff}{text}").encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn text_of_either_byte_order_is_decoded() {
        // Pairs lie across the ends of chunks in one of the two.
        for text in ["", "é😀漢", &"😀".repeat(40_000), &format!("x{}", "😀".repeat(40_000))] {
            for at_a_time in [1, 3, u64::MAX] {
                assert_eq!(read(encoded(text, u16::to_le_bytes), at_a_time), text.as_bytes());
                assert_eq!(read(encoded(text, u16::to_be_bytes), at_a_time), text.as_bytes());
                assert_eq!(read(text.as_bytes().to_vec(), at_a_time), text.as_bytes());
            }
        }
    }

    #[test]
    fn what_is_not_utf_16_is_no_utf_8_either() {
        assert_eq!(read(b"\xff\xfea\0\x00\xd8b\0".to_vec(), 3), b"a\xffb");
        assert_eq!(read(b"\xfe\xff\0a\xd8\0".to_vec(), 1), b"a\xff");
        assert_eq!(read(b"\xff\xfea\0b".to_vec(), 2), b"a\xff");
        assert_eq!(read(b"\xff".to_vec(), 1), b"\xff");
    }
}
