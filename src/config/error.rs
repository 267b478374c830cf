//! Errors in a configuration: where, which field, what is allowed.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A place in a file; both numbers begin at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// One error in a configuration. Printed as `FILE:LINE:COLUMN: FIELD: MESSAGE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, as the user named it; empty when there is none.
    pub file: String,
    /// Where it stands; unknown for what concerns the whole file or what no file says.
    pub mark: Option<Mark>,
    /// Path of the field, such as `profiles[1].plugins.score.enabled[0].weight`; empty for the whole document.
    pub field: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            f.write_str(&self.file)?;
            if let Some(mark) = self.mark {
                write!(f, ":{}:{}", mark.line, mark.column)?;
            }
            f.write_str(": ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigErrors {
    /// The file cannot be read.
    #[error("reading configuration file {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file says something that is not allowed: every such thing, in the order of the file, at least one.
    #[error("{}", lines(errors))]
    Invalid {
        /// The errors.
        errors: Vec<ConfigError>,
    },
}

impl ConfigErrors {
    /// The errors in the file; empty when it could not be read.
    pub fn errors(&self) -> &[ConfigError] {
        match self {
            Self::Read { .. } => &[],
            Self::Invalid { errors } => errors,
        }
    }
}

fn lines(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// An error before the name of the file is put to it.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) mark: Option<Mark>,
    pub(super) field: String,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn new(mark: Option<Mark>, field: &str, message: &str) -> Self {
        Self { mark, field: field.to_owned(), message: message.to_owned() }
    }

    pub(super) fn in_file(self, file: &str) -> ConfigError {
        ConfigError { file: file.to_owned(), mark: self.mark, field: self.field, message: self.message }
    }
}
