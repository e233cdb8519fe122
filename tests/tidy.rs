//! Rules of the source tree: floors, names, lengths, idioms, links. Each rule is a function from files to faults, and is
//! shown to find a planted one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `src`, from the ground up: one uses only those above it in this list.
const FLOORS: &[&str] = &[
    "error",
    "cancel",
    "background",
    "descriptors",
    "allocator",
    "random",
    "format",
    "process",
    "variables",
    "observe",
    "panics",
    "human",
    "envelope",
    "event",
    "plan",
    "ca_file",
    "aws",
    "rds",
    "store",
    "pipeline",
    "receipt",
    "metrics",
    "signals",
    "backup",
    "check",
    "plan_events",
    "fleet",
    "policy",
    "restore",
    "handler",
    "lambda",
    "cli",
    "main",
    "lib",
];
const MAX_LINES: usize = 400;
const MAX_MARKDOWN: usize = 120;
/// What string literals of the program never say, and what is said instead.
const IDIOMS: &[(&str, &str)] = &[
    ("old image", "legacy image"),
    ("old format", "legacy format"),
    ("dead run", "interrupted run"),
    ("road home", "restore"),
    ("way home", "restore"),
    ("way back", "restore"),
    ("whoever", "anyone who"),
    ("encipher", "encrypt"),
    ("decipher", "decrypt"),
    ("recovery card", "recovery instructions"),
];

struct File {
    path: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folders: &[&str], extension: &str) -> Vec<File> {
    fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        let skipped = ["target", "node_modules", "vectors", "grown", "artifacts"];
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() && !skipped.contains(&&*name) && !name.starts_with('.') {
                walk(&path, extension, found);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    folders.iter().for_each(|folder| walk(&root().join(folder), extension, &mut found));
    found.sort();
    let file = |path: PathBuf| File {
        path: path.strip_prefix(root()).expect("below the root").display().to_string(),
        text: fs::read_to_string(&path).expect("UTF-8"),
    };
    found.into_iter().map(file).collect()
}

fn sources() -> Vec<File> {
    files(&["src"], "rs")
}

/// Without the tests at its end, which may use whatever they like.
fn code(file: &File) -> &str {
    let is_test = file.path.contains("/tests/") || file.path.ends_with("tests.rs");
    if is_test {
        return "";
    }
    file.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

fn floor(path: &str) -> Option<usize> {
    let name = path.strip_prefix("src/")?.split('/').next()?.trim_end_matches(".rs");
    FLOORS.iter().position(|floor| *floor == name)
}

/// `crate::X` goes to a lower floor.
fn upward(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        let Some(own) = floor(&file.path) else {
            faults.push(format!("{}: its module is in no list of floors", file.path));
            continue;
        };
        for line in code(file).lines().filter(|line| !line.trim_start().starts_with("//")) {
            for used in line.split("crate::").skip(1) {
                let names = used.strip_prefix('{').and_then(|group| group.split('}').next()).unwrap_or(used);
                for name in names.split(',').map(|name| name.trim().split("::").next().unwrap_or_default()) {
                    let name: String = name
                        .chars()
                        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
                        .collect();
                    match FLOORS.iter().position(|floor| *floor == name) {
                        Some(other) if other > own => faults.push(format!("{}: {name} is above it", file.path)),
                        _ => {}
                    }
                }
            }
        }
    }
    faults
}

fn without_a_first_line(files: &[File]) -> Vec<String> {
    let lacks = |file: &&File| !file.text.starts_with("//!");
    files
        .iter()
        .filter(lacks)
        .map(|file| format!("{}: does not begin with //!", file.path))
        .collect()
}

/// No two public types share a name.
fn shared_names(files: &[File]) -> Vec<String> {
    let mut places: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for file in files {
        for line in code(file).lines() {
            let line = line.trim_start();
            let behind = ["pub ", "pub(crate) ", "pub(super) "]
                .iter()
                .find_map(|public| line.strip_prefix(public));
            let kinds = ["struct ", "enum ", "trait "];
            let name = behind.and_then(|line| kinds.iter().find_map(|kind| line.strip_prefix(kind)));
            if let Some(name) = name {
                let name: String = name.chars().take_while(|letter| letter.is_alphanumeric()).collect();
                places.entry(name).or_default().insert(&file.path);
            }
        }
    }
    let shared = places.into_iter().filter(|(_, places)| places.len() > 1);
    shared.map(|(name, places)| format!("{name} is in {places:?}")).collect()
}

fn too_long(files: &[File]) -> Vec<String> {
    let lines = |file: &File| file.text.lines().count();
    let long = files.iter().filter(|file| lines(file) > MAX_LINES);
    long.map(|file| format!("{}: {} lines", file.path, lines(file))).collect()
}

fn wide_lines(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        let mut is_code = false;
        for (number, line) in file.text.lines().enumerate() {
            is_code ^= line.trim_start().starts_with("```");
            // A table's row and a link cannot be broken.
            let may_be_long = is_code || line.trim_start().starts_with('|') || line.contains("](") || line.contains("://");
            if !may_be_long && line.chars().count() > MAX_MARKDOWN {
                faults.push(format!("{}:{}: {} columns", file.path, number + 1, line.chars().count()));
            }
        }
    }
    faults
}

fn idioms(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            let line = line.to_lowercase();
            for (idiom, word) in IDIOMS {
                if line.contains(idiom) {
                    faults.push(format!("{}:{}: `{idiom}`: say `{word}`", file.path, number + 1));
                }
            }
        }
    }
    faults
}

/// Relative links of Markdown lead to a file.
fn broken_links(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        let folder = root().join(&file.path).parent().expect("a folder").to_owned();
        for link in file.text.split("](").skip(1).filter_map(|behind| behind.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains(':') && !folder.join(target).exists() {
                faults.push(format!("{}: {link} leads nowhere", file.path));
            }
        }
    }
    faults
}

/// What goes through one place alone: the words that would go round it, and where they may stand.
const ONE_PLACE: &[(&str, &[&str])] = &[
    // A child that nobody ends outlives the run.
    (".spawn()", &["src/process/"]),
    ("command.output()", &[]),
    // Variables of ours stand in one table; these hand on what libraries read.
    (
        "env::var",
        &[
            "src/variables/",
            "src/aws/trust.rs",
            "src/restore/load.rs",
            "src/restore/scratch_server.rs",
            "src/restore/tls.rs",
        ],
    ),
    // The session limits, qualifies and cancels each query.
    ("simple_query(", &["src/rds/session.rs"]),
];

fn elsewhere(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        for (words, places) in ONE_PLACE {
            let is_code = |line: &&str| !line.trim_start().starts_with("//") && line.contains(words);
            if code(file).lines().any(|line| is_code(&line)) && !places.iter().any(|place| file.path.starts_with(place)) {
                faults.push(format!("{}: `{words}` may only stand in {places:?}", file.path));
            }
        }
    }
    faults
}

/// The modules in the first column of ARCHITECTURE.md's first table.
fn told_floors(architecture: &str) -> Vec<&str> {
    let rows = architecture.lines().skip_while(|line| !line.starts_with("| Module"));
    let rows = rows.skip(2).take_while(|line| line.starts_with('|'));
    let first = rows.filter_map(|row| row.split('|').nth(1));
    first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[track_caller]
fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn planted(path: &str, text: &str) -> Vec<File> {
    let (path, text) = (path.to_owned(), text.to_owned());
    vec![File { path, text }]
}

fn markdown() -> Vec<File> {
    let mut all = files(&["docs", "crates", "deploy", "tests", "bench", "fuzz"], "md");
    for name in ["README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG", "SECURITY"] {
        let path = format!("{name}.md");
        if let Ok(text) = fs::read_to_string(root().join(&path)) {
            all.push(File { path, text });
        }
    }
    all
}

#[test]
fn each_module_uses_lower_floors_only() {
    none(upward(&sources()));
    let faults = upward(&planted("src/format/names.rs", "//! x\nuse crate::{error::Error, plan::Plan};\n"));
    assert_eq!(faults, ["src/format/names.rs: plan is above it"]);
    assert_eq!(upward(&planted("src/cellar.rs", "//! x\n")).len(), 1);
}

#[test]
fn each_file_says_what_it_is() {
    none(without_a_first_line(&files(&["src", "tests", "crates", "examples", "fuzz"], "rs")));
    assert_eq!(without_a_first_line(&planted("src/a.rs", "use x;\n")).len(), 1);
}

#[test]
fn no_two_public_types_share_a_name() {
    none(shared_names(&sources()));
    let mut both = planted("src/a.rs", "pub struct Report {}\n");
    both.extend(planted("src/b.rs", "pub(super) enum Report {}\n"));
    assert_eq!(shared_names(&both).len(), 1);
}

#[test]
fn no_file_is_too_long() {
    none(too_long(&files(&["src", "tests", "crates", "examples", "fuzz/fuzz_targets"], "rs")));
    assert_eq!(too_long(&planted("src/a.rs", &"x\n".repeat(401))).len(), 1);
}

#[test]
fn no_line_of_markdown_is_too_wide() {
    none(wide_lines(&markdown()));
    let wide = format!("{}\n```\n{}\n```\n", "x ".repeat(61), "y".repeat(200));
    assert_eq!(wide_lines(&planted("a.md", &wide)).len(), 1);
}

#[test]
fn the_words_are_the_fields_own() {
    let mut all = files(&["src", "tests", "examples", "fuzz/fuzz_targets", "crates"], "rs");
    all.retain(|file| file.path != "tests/tidy.rs");
    all.extend(markdown().into_iter().filter(|file| file.path != "CHANGELOG.md"));
    none(idioms(&all));
    assert_eq!(idioms(&planted("src/a.rs", "// The old image enciphers.\n")).len(), 2);
}

#[test]
fn each_link_leads_somewhere() {
    none(broken_links(&markdown()));
    assert_eq!(
        broken_links(&planted("README.md", "[a](src/lib.rs) [b](nowhere.md#x) [c](https://x)")).len(),
        1
    );
}

#[test]
fn what_goes_through_one_place_stands_nowhere_else() {
    none(elsewhere(&sources()));
    let two = "//! x\nlet child = command.spawn()?;\nlet home = std::env::var(\"HOME\");\nlet told = command.output();\n";
    assert_eq!(elsewhere(&planted("src/check.rs", two)).len(), 3);
}

#[test]
fn the_floors_are_told_as_they_are() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let of_program: Vec<&str> = FLOORS.iter().copied().filter(|floor| *floor != "lib").collect();
    assert_eq!(told_floors(&text), of_program);
    assert_eq!(
        told_floors("| Module | x |\n| --- | --- |\n| `a`, `b` | y |\n\n| `c` |"),
        ["a", "b"]
    );
}
