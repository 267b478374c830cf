//! The files of a recording, as they are written: compressed, each of a bounded size, all of them together too.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::segment_name;

/// A segment ends when it has as many bytes, compressed.
const SEGMENT_BYTES: u64 = 32 << 20;
/// What is left for the last line.
const RESERVE_BYTES: u64 = 256 << 10;

/// A file that counts what was written to it.
struct Counted {
    file: File,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file of a recording: it is new, and nobody else may read it.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes segments.
pub(super) struct Segments {
    dir: PathBuf,
    number: u32,
    out: Option<GzEncoder<Counted>>,
    /// In the segments that have ended.
    bytes: u64,
    segment_bytes: u64,
    most: u64,
}

impl Segments {
    /// In this folder, with at most so many bytes in all.
    pub(super) fn new(dir: &Path, most: u64) -> Self {
        Self { dir: dir.to_owned(), number: 0, out: None, bytes: 0, segment_bytes: SEGMENT_BYTES, most }
    }

    /// The file that is written.
    pub(super) fn path(&self) -> PathBuf {
        self.dir.join(segment_name(self.number.max(1)))
    }

    fn under_way(&self) -> u64 {
        self.out.as_ref().map_or(0, |out| out.get_ref().bytes)
    }

    /// Whether there is no room for more than a last line.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.saturating_add(self.under_way()).saturating_add(RESERVE_BYTES) >= self.most
    }

    /// Adds a line.
    pub(super) fn write(&mut self, line: &str) -> io::Result<()> {
        if self.under_way() >= self.segment_bytes {
            self.end()?;
        }
        let out = match &mut self.out {
            Some(out) => out,
            none => {
                self.number += 1;
                let file = create(&self.dir.join(segment_name(self.number)))?;
                none.insert(GzEncoder::new(Counted { file, bytes: 0 }, Compression::fast()))
            }
        };
        out.write_all(line.as_bytes())
    }

    /// Has everything so far in the file, so that it can be read whatever happens to us.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }

    /// Ends the segment.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let Some(out) = self.out.take() else { return Ok(()) };
        let Counted { file, bytes } = out.finish()?;
        self.bytes = self.bytes.saturating_add(bytes);
        file.sync_data()
    }

    /// Makes segments of so many bytes.
    #[cfg(all(test, feature = "tools"))]
    pub(super) fn with_segments_of(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }
}
