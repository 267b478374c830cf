use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;

fn names(folder: &Path, suffix: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().strip_suffix(suffix).map(str::to_owned);
    entries.filter_map(|entry| name(entry.unwrap())).collect()
}

#[test]
fn the_laws_hold_for_the_whole_corpus() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz.join("fuzz_targets"), ".rs"), targets);
    assert_eq!(names(&fuzz.join("corpus"), ""), targets);
    for (name, law) in TARGETS {
        let mut files: Vec<_> =
            fs::read_dir(fuzz.join("corpus").join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 10, "{name}: {} files", files.len());
        for file in files {
            let data = fs::read(&file).unwrap();
            let held = std::panic::catch_unwind(|| law(&data));
            assert!(held.is_ok(), "{}", file.display());
        }
    }
}
