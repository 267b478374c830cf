//! Protobuf's wire format: numbered parts, each a number or so many bytes.

/// The content of a part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The parts of a message with their numbers; a malformed one is none, and the last.
pub(super) struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn of(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    fn part(&mut self) -> Option<(u64, Part<'a>)> {
        let tag = self.number()?;
        let part = match tag & 7 {
            0 => Part::Number(self.number()?),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                let (bytes, rest) = self.rest.split_at_checked(length)?;
                self.rest = rest;
                Part::Bytes(bytes)
            }
            _ => return None,
        };
        Some((tag >> 3, part))
    }

    /// Seven bits a byte, the lowest first; all but the last byte have the eighth set.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Option<(u64, Part<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let part = self.part();
        if part.is_none() {
            self.rest = &[];
        }
        Some(part)
    }
}
