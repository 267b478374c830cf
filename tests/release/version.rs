//! One version: in Cargo.toml, and the same wherever Cargo.toml cannot be read.

use std::path::Path;
use std::process::{Command, Output};

use super::read;

const NOW: &str = env!("CARGO_PKG_VERSION");
const NEXT: &str = "98.76.54";
/// Where the version stands, and how often.
const PLACES: [(&str, usize); 7] = [
    // The workspace's own, and those of its crates that depend on each other.
    ("Cargo.toml", 7),
    ("Cargo.lock", 7),
    ("fuzz/Cargo.lock", 4),
    ("charts/plimsoll/Chart.yaml", 2),
    ("README.md", 1),
    ("docs/writing-a-plugin.md", 2),
    ("CHANGELOG.md", 1),
];

/// A copy of what the scripts read and write, without a repository around it.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let scripts = ["image/version.sh", "image/set-version.sh", "image/release-check.sh"];
    for path in PLACES.iter().map(|(path, _)| path).chain(&scripts).chain(&["charts/plimsoll/README.md"]) {
        let to = folder.path().join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), to).unwrap();
    }
    folder
}

fn script(folder: &Path, script: &str, argument: &str) -> (i32, String) {
    let Output { status, stdout, stderr } =
        Command::new("bash").arg(folder.join(script)).arg(argument).current_dir(folder).output().unwrap();
    (status.code().unwrap(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

fn changed(folder: &Path, path: &str) -> String {
    std::fs::read_to_string(folder.join(path)).unwrap()
}

/// The lines of a file that say the version of something of ours.
fn said(path: &str, version: &str, text: &str) -> usize {
    match path {
        // A crate that comes from nowhere is one of the repository.
        "Cargo.lock" | "fuzz/Cargo.lock" => {
            let packages = text.split("[[package]]").filter(|package| !package.contains("\nsource = "));
            packages.filter(|package| package.contains(&format!("\nversion = \"{version}\"\n"))).count()
        }
        "CHANGELOG.md" => text.lines().filter(|line| line.starts_with(&format!("## [{version}] - 2"))).count(),
        "README.md" => text.matches(&format!("\nVersion {version}. ")).count(),
        "charts/plimsoll/Chart.yaml" => {
            text.matches(&format!("\nversion: {version}\n")).count()
                + text.matches(&format!("\nappVersion: \"{version}\"\n")).count()
        }
        _ => {
            let ours = |line: &&str| line.starts_with("plimsoll") || line.starts_with("version = ");
            text.lines().filter(ours).filter(|line| line.contains(&format!("\"{version}\""))).count()
        }
    }
}

#[test]
fn it_is_the_same_everywhere() {
    for (path, times) in PLACES {
        // What is not released yet has no section of its own.
        if path != "CHANGELOG.md" {
            assert_eq!(said(path, NOW, &read(path)), times, "{path} does not have version {NOW} {times} times");
        }
    }
}

#[test]
fn it_is_set_everywhere_and_nothing_else_is_changed() {
    let folder = copy();
    let (code, out) = script(folder.path(), "image/set-version.sh", NEXT);
    assert_eq!(code, 0, "{out}");
    for (path, times) in PLACES {
        let text = changed(folder.path(), path);
        assert_eq!(said(path, NEXT, &text), times, "{path}:\n{text}");
        if path != "CHANGELOG.md" {
            assert_eq!(text.replace(NEXT, NOW), read(path), "{path}");
        }
    }
    // Names of images and of packed charts go along.
    assert!(named(&read("README.md")).count() > 0);
    assert!(named(&changed(folder.path(), "README.md")).all(|version| version == NEXT));
    let log = changed(folder.path(), "CHANGELOG.md");
    let unreleased = log.split("## [Unreleased]\n").nth(1).unwrap();
    assert!(
        unreleased.starts_with(&format!("\n## [{NEXT}] - 20")),
        "what was unreleased is what {NEXT} has:\n{unreleased}"
    );

    assert_eq!(script(folder.path(), "image/set-version.sh", NEXT).0, 0);
    assert_eq!(changed(folder.path(), "CHANGELOG.md"), log, "a section that is there is not made again");
}

/// What follows `plimsoll:` or `plimsoll-` and looks like a version.
fn named(page: &str) -> impl Iterator<Item = &str> {
    let after = |mark| page.split(mark).skip(1);
    let number = |text: &'_ str| text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let versions =
        after("plimsoll:").chain(after("plimsoll-")).map(move |text| text[..number(text)].trim_end_matches('.'));
    versions.filter(|version| version.split('.').count() == 3)
}

#[test]
fn the_documentation_names_images_and_packed_charts_of_this_version() {
    assert_eq!(
        named("plimsoll:1.2.3. plimsoll-4.5.6.tgz plimsoll:latest plimsoll-engine").collect::<Vec<_>>(),
        ["1.2.3", "4.5.6"]
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.chain([root.join("README.md"), root.join("charts/plimsoll/README.md")]);
    for page in pages.filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = std::fs::read_to_string(&page).unwrap();
        assert!(
            named(&text).all(|version| version == NOW),
            "{}: {:?}",
            page.display(),
            named(&text).collect::<Vec<_>>()
        );
    }
}

#[test]
fn what_is_no_version_is_refused_and_nothing_changed() {
    let folder = copy();
    for bad in ["", "1.2", "v1.2.3", "1.2.3.4", "01.2.3", "1.2.3/x"] {
        let (code, out) = script(folder.path(), "image/set-version.sh", bad);
        assert!(code == 2 && out.contains("is no version"), "{bad}: {code} {out}");
    }
    assert!(PLACES.iter().all(|(path, _)| changed(folder.path(), path) == read(path)));
}

#[test]
fn only_the_tag_of_this_version_is_released_and_only_with_its_changes_written_down() {
    let folder = copy();
    let check = |tag: &str| script(folder.path(), "image/release-check.sh", tag);
    let log = "# Changelog\n\n## [Unreleased]\n\n## [98.76.54] - 2031-02-03\n\n- This.\n\n## [98.76.53] - 2031-02-02\n\n- That.\n";
    assert_eq!(script(folder.path(), "image/set-version.sh", NEXT).0, 0);
    for (tag, log, wanted) in [
        ("", log, "'v98.76.54' is wanted"),
        ("98.76.54", log, "'v98.76.54' is wanted"),
        ("v98.76.5", log, "'v98.76.54' is wanted"),
        ("v98.76.54", "# Changelog\n\n## [Unreleased]\n\n- This.\n", "no section '## [98.76.54]"),
        ("v98.76.54", "## [98.76.54] - soon\n\n- This.\n", "no section '## [98.76.54]"),
        (
            "v98.76.54",
            "## [98.76.54] - 2031-02-03\n\n## [98.76.53] - 2031-02-02\n\n- That.\n",
            "says nothing of 98.76.54",
        ),
    ] {
        std::fs::write(folder.path().join("CHANGELOG.md"), log).unwrap();
        let (code, out) = check(tag);
        assert!(code == 1 && out.contains(wanted), "{tag}: {code} {out}");
    }
    std::fs::write(folder.path().join("CHANGELOG.md"), log).unwrap();
    assert_eq!(check("v98.76.54").0, 0);
    assert_eq!(changed(folder.path(), "dist/release-notes.md").trim(), "- This.");
}

#[test]
fn the_image_is_built_by_the_toolchain_of_the_repository() {
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.split("channel = \"").nth(1).unwrap().split('"').next().unwrap();
    let dockerfile = read("Dockerfile");
    for line in [format!("\nFROM rust:{channel}-"), format!("\nENV RUSTUP_TOOLCHAIN={channel}\n")] {
        assert!(dockerfile.contains(&line), "Dockerfile lacks {line:?}");
    }
    assert!(channel.starts_with(env!("CARGO_PKG_RUST_VERSION")), "rust-version is not what the toolchain is");
}
