//! Which files are read, and their text.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::ManifestError;

/// A larger file is no dump of a cluster that fits into memory.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// Something to be read.
pub(super) enum Source {
    StandardInput,
    File(PathBuf),
}

impl Source {
    /// As messages call it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::StandardInput => "standard input".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

/// What these names stand for, in their order; files of a folder in the order of their names.
pub(super) fn sources(names: &[PathBuf], recursive: bool, errors: &mut Vec<ManifestError>) -> Vec<Source> {
    let mut sources = Vec::new();
    for name in names {
        if name.as_os_str() == "-" {
            sources.push(Source::StandardInput);
        } else if name.is_dir() {
            let before = sources.len();
            if let Err(error) = folder(name, recursive, &mut sources) {
                errors.push(ManifestError::whole(format!("reading folder {}: {error}", name.display())));
            } else if sources.len() == before {
                let text = format!("folder {} has no file that ends in .yaml, .yml or .json", name.display());
                errors.push(ManifestError::whole(text));
            }
        } else {
            sources.push(Source::File(name.clone()));
        }
    }
    sources
}

fn folder(path: &Path, recursive: bool, sources: &mut Vec<Source>) -> io::Result<()> {
    let mut entries = std::fs::read_dir(path)?.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for entry in entries {
        let ending = entry.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if entry.is_dir() {
            // A link could lead back up.
            if recursive && !entry.is_symlink() {
                folder(&entry, recursive, sources)?;
            }
        } else if matches!(ending, "yaml" | "yml" | "json") {
            sources.push(Source::File(entry));
        }
    }
    Ok(())
}

/// The text of a file.
pub(super) fn load(source: &Source) -> Result<Bytes, ManifestError> {
    let read = match source {
        Source::StandardInput => bounded(io::stdin().lock(), 0),
        Source::File(path) => File::open(path).and_then(|file| {
            let length = file.metadata()?.len();
            bounded(file, length)
        }),
    };
    read.map_err(|error| ManifestError::whole(format!("reading {}: {error}", source.name())))
}

/// Reads to the end. `length` is what is expected; pipes and the like have none.
fn bounded(from: impl io::Read, length: u64) -> io::Result<Bytes> {
    let mut text = Vec::with_capacity(usize::try_from(length.min(MAX_FILE_BYTES)).unwrap_or(0));
    from.take(MAX_FILE_BYTES + 1).read_to_end(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {} GiB", MAX_FILE_BYTES >> 30)));
    }
    Ok(text.into())
}
