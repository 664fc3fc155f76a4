//! CRC-32 (IEEE 802.3, reflected polynomial 0xEDB88320) over the columns of a row.

/// `TABLES[n][b]`: what byte `b` contributes when `n` more bytes follow it (slicing-by-8, Kounavis and Berry 2005).
const TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        tables[0][index] = value;
        index += 1;
    }
    let mut slice = 1;
    while slice < 8 {
        index = 0;
        while index < 256 {
            let before = tables[slice - 1][index];
            tables[slice][index] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            index += 1;
        }
        slice += 1;
    }
    tables
}

/// A checksum in the making. Fields are told apart: lengths and absences count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc(u32);

impl Crc {
    pub(crate) fn new() -> Self {
        Self(u32::MAX)
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        let (eights, rest) = bytes.as_chunks::<8>();
        for eight in eights {
            let word = u64::from_le_bytes(*eight) ^ u64::from(self.0);
            let byte = |n: u32| usize::from((word >> (8 * n)) as u8);
            self.0 = (0..8).fold(0, |crc, n| crc ^ TABLES[7 - n as usize][byte(n)]);
        }
        for byte in rest {
            self.0 = (self.0 >> 8) ^ TABLES[0][usize::from((self.0 as u8) ^ byte)];
        }
        self
    }

    pub(crate) fn number(self, number: i64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    pub(crate) fn maybe(self, number: Option<i64>) -> Self {
        match number {
            Some(number) => self.bytes(&[1]).number(number),
            None => self.bytes(&[0]),
        }
    }

    pub(crate) fn blob(self, bytes: Option<&[u8]>) -> Self {
        match bytes {
            Some(bytes) => self.maybe(i64::try_from(bytes.len()).ok()).bytes(bytes),
            None => self.bytes(&[0]),
        }
    }

    pub(crate) fn finish(self) -> u32 {
        !self.0
    }
}

/// A row's share in the digest of its table: rows may be added and taken away in any order.
/// (Finalizer of `SplitMix64`, Steele, Lea and Flood 2014.)
pub(crate) fn share(id: u32, crc: u32) -> u64 {
    let mut z = (u64::from(id) << 32 | u64::from(crc)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_standard_checksum() {
        assert_eq!(Crc::new().bytes(b"123456789").finish(), 0xcbf4_3926);
        let text = b"The quick brown fox jumps over the lazy dog";
        assert_eq!(Crc::new().bytes(text).finish(), 0x414f_a339);
        for cut in 0..text.len() {
            assert_eq!(Crc::new().bytes(&text[..cut]).bytes(&text[cut..]).finish(), 0x414f_a339);
        }
    }

    #[test]
    fn absence_and_zero_differ() {
        assert_ne!(Crc::new().maybe(None).finish(), Crc::new().maybe(Some(0)).finish());
        assert_ne!(Crc::new().blob(None).finish(), Crc::new().blob(Some(b"")).finish());
    }
}
