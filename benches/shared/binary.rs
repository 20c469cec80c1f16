//! COPY's binary format.

/// A moment, in microseconds since 1970, as PostgreSQL has it: microseconds since 2000.
#[must_use]
pub const fn since_2000(micros: u64) -> [u8; 8] {
    (micros - 946_684_800_000_000).to_be_bytes()
}

/// IPv4: its family, its bits, that it is no network, and its length.
#[must_use]
pub const fn address([a, b, c, d]: [u8; 4]) -> [u8; 8] {
    [2, 32, 0, 4, a, b, c, d]
}

/// Rows for `COPY … WITH (FORMAT binary)`.
pub struct Binary(Vec<u8>);

impl Default for Binary {
    fn default() -> Self {
        let mut bytes = b"PGCOPY\n\xff\r\n\0".to_vec();
        bytes.extend_from_slice(&[0; 8]);
        Self(bytes)
    }
}

impl Binary {
    /// Begins a row of so many fields.
    pub fn row(&mut self, fields: u16) {
        self.0.extend_from_slice(&fields.to_be_bytes());
    }

    /// A field.
    pub fn field(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or_default();
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    /// A field, or none.
    pub fn maybe(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.field(bytes),
            None => self.0.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
    }

    /// JSONB: its version, then text.
    pub fn json(&mut self, text: &str) {
        self.field(&[&[1], text.as_bytes()].concat());
    }

    /// All rows.
    #[must_use]
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0xff, 0xff]);
        self.0
    }
}
