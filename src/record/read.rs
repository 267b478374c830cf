//! A recording as it is read: line after line, none of them trusted.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressBarIter};

use super::line::{Line, Sums};
use super::{HEAD_FILE, Head, LONGEST_LINE, segment_name};

/// A head is no longer, in bytes.
const LONGEST_HEAD: u64 = 4 << 20;

/// Where something stands in a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    /// From 1, in the segment as it is when it is not compressed.
    pub(crate) line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}", self.file.display(), self.line)
    }
}

/// A recording that is none, or is not whole where it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Rubbish {
    /// A file cannot be read.
    #[error("reading {}", .path.display())]
    Unread { path: PathBuf, source: io::Error },
    /// The head says nothing that can be replayed.
    #[error("reading {}: {problem:#}", .path.display())]
    Head { path: PathBuf, problem: anyhow::Error },
    /// A line does not say what was recorded.
    #[error("reading {place}: {problem}")]
    Line { place: Place, problem: String },
}

/// What comes next.
pub(super) enum Next<'a> {
    Line(Line<'a>),
    /// Nothing: the recording was cut off here.
    CutOff,
    /// Nothing: it ends here, with its last line.
    End,
}

/// How reading a line came out.
enum Read {
    Line,
    /// The segment has ended.
    Ended,
    /// The segment, or its last line, is not whole.
    Cut,
}

type Segment = BufReader<MultiGzDecoder<BufReader<ProgressBarIter<File>>>>;

/// Reads lines.
pub(super) struct Reader {
    dir: PathBuf,
    number: u32,
    segment: Option<Segment>,
    sums: Sums,
    line_number: u64,
    line: Vec<u8>,
    body: String,
    ended: bool,
    progress: ProgressBar,
}

impl Reader {
    /// Of the recording in this folder.
    pub(super) fn new(dir: &Path, progress: ProgressBar) -> Result<(Head, Self), Rubbish> {
        let path = dir.join(HEAD_FILE);
        let unread = |source| Rubbish::Unread { path: path.clone(), source };
        let mut text = Vec::new();
        File::open(&path).map_err(unread)?.take(LONGEST_HEAD).read_to_end(&mut text).map_err(unread)?;
        let head = Head::parse(&text).map_err(|problem| Rubbish::Head { path: path.clone(), problem })?;
        let reader = Self {
            dir: dir.to_owned(),
            number: 0,
            segment: None,
            sums: Sums::default(),
            line_number: 0,
            line: Vec::new(),
            body: String::new(),
            ended: false,
            progress,
        };
        reader.progress.set_length(reader.bytes());
        Ok((head, reader))
    }

    /// How much there is to read.
    fn bytes(&self) -> u64 {
        let sizes = (1..).map_while(|number| std::fs::metadata(self.dir.join(segment_name(number))).ok());
        sizes.map(|file| file.len()).sum()
    }

    /// Where the line is that was read last.
    pub(super) fn place(&self) -> Place {
        Place { file: self.dir.join(segment_name(self.number.max(1))), line: self.line_number }
    }

    /// Something is wrong with the line that was read last.
    pub(super) fn rubbish(&self, problem: impl Into<String>) -> Rubbish {
        Rubbish::Line { place: self.place(), problem: problem.into() }
    }

    /// The next line.
    pub(super) fn next(&mut self) -> Result<Next<'_>, Rubbish> {
        loop {
            if self.segment.is_none() && !self.open()? {
                return Ok(if self.ended { Next::End } else { Next::CutOff });
            }
            match self.read()? {
                Read::Line if self.ended => return Err(self.rubbish("the recording goes on behind its end")),
                Read::Line => break,
                Read::Ended => self.segment = None,
                Read::Cut if self.ended => return Err(self.rubbish("the recording goes on behind its end")),
                Read::Cut if self.exists(self.number.saturating_add(1)) => {
                    return Err(self.rubbish("the segment is not whole, though it is not the last"));
                }
                Read::Cut => return Ok(Next::CutOff),
            }
        }
        let text = std::str::from_utf8(&self.line).map_err(|_| "no text".to_owned());
        let place = self.place();
        match text.and_then(|text| self.sums.read(text, &mut self.body)) {
            Ok(line) => {
                self.ended = line.end.is_some();
                Ok(Next::Line(line))
            }
            Err(problem) => Err(Rubbish::Line { place, problem }),
        }
    }

    fn exists(&self, number: u32) -> bool {
        self.dir.join(segment_name(number)).exists()
    }

    /// Opens the next segment; `false` where there is none.
    fn open(&mut self) -> Result<bool, Rubbish> {
        let number = self.number.saturating_add(1);
        let path = self.dir.join(segment_name(number));
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(Rubbish::Unread { path, source }),
        };
        let file = BufReader::new(self.progress.wrap_read(file));
        self.segment = Some(BufReader::new(MultiGzDecoder::new(file)));
        (self.number, self.line_number) = (number, 0);
        Ok(true)
    }

    /// Reads a line, without its end.
    fn read(&mut self) -> Result<Read, Rubbish> {
        let Some(segment) = &mut self.segment else { return Ok(Read::Ended) };
        self.line.clear();
        let longest = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX).saturating_mul(2);
        let read = segment.take(longest).read_until(b'\n', &mut self.line);
        self.line_number += 1;
        match read {
            Ok(0) => {
                self.line_number -= 1;
                Ok(Read::Ended)
            }
            Ok(_) if self.line.last() == Some(&b'\n') => {
                self.line.pop();
                Ok(Read::Line)
            }
            Ok(bytes) if u64::try_from(bytes).unwrap_or(u64::MAX) >= longest => {
                Err(self.rubbish("the line is longer than any that is recorded"))
            }
            Ok(_) => Ok(Read::Cut),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Read::Cut),
            Err(error) => Err(self.rubbish(format!("the segment cannot be read: {error}"))),
        }
    }
}
