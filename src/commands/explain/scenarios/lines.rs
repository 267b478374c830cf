//! The lines of a file, taken a handful at a time, so that memory does not grow with the file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;

/// A longer line is no problem that anybody would ask.
const MAX_LINE_BYTES: u64 = 64 << 20;
/// How many lines are taken at a time, and about how many bytes at most.
const LINES_AT_A_TIME: usize = 128;
const BYTES_AT_A_TIME: usize = 32 << 20;
/// A line with its number, or why it cannot be read.
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) text: Result<Bytes, String>,
}

/// The lines of the input, taken a few at a time.
pub(super) struct Lines {
    input: Box<dyn BufRead>,
    /// Number of the last line read.
    number: usize,
    /// Whether the input has ended, or cannot be read any further.
    ended: bool,
}

impl Lines {
    /// The lines of a file, unpacked if it is packed.
    pub(super) fn open(file: &Path) -> anyhow::Result<Self> {
        let reading = || format!("reading {}", file.display());
        let mut raw: Box<dyn BufRead> = if file.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            Box::new(BufReader::new(File::open(file).with_context(reading)?))
        };
        let packed = raw.fill_buf().with_context(reading)?.starts_with(&[0x1f, 0x8b]);
        let input = if packed { Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(raw))) } else { raw };
        Ok(Self { input, number: 0, ended: false })
    }

    /// The next lines that say anything; none at the end.
    pub(super) fn take(&mut self) -> Vec<Line> {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while !self.ended && lines.len() < LINES_AT_A_TIME && bytes < BYTES_AT_A_TIME {
            let mut text = Vec::new();
            let read = (&mut self.input).take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut text);
            let too_long = u64::try_from(text.len()).is_ok_and(|length| length > MAX_LINE_BYTES);
            self.number += 1;
            bytes += text.len();
            let text = match read {
                Ok(_) if too_long => Err(format!("the line is longer than {} MiB", MAX_LINE_BYTES >> 20)),
                Ok(_) => Ok(Bytes::from(text)),
                Err(error) => Err(format!("the file cannot be read any further: {error}")),
            };
            self.ended = text.as_ref().is_ok_and(Bytes::is_empty) || text.is_err();
            if text.as_ref().is_ok_and(|text| text.trim_ascii().is_empty()) {
                continue;
            }
            lines.push(Line { number: self.number, text });
        }
        lines
    }
}
