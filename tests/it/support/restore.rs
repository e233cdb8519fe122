//! The commands that README.md and the pages of docs/ give their readers, taken from them and run as they stand.
//!
//! A block that a test runs carries an HTML comment with its name, on the last line before it that is not empty:
//!
//! ````text
//! <!-- test: unwrap -->
//! ```sh
//! openssl …
//! ```
//! ````

use super::postgres::Server;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// One fenced block of the README.
pub struct Block {
    /// The name in the comment before it.
    pub name: Option<String>,
    pub language: String,
    pub text: String,
}

/// Every fenced block, in order.
pub fn blocks() -> Vec<Block> {
    let readme = readme();
    let (mut blocks, mut name, mut lines) = (Vec::new(), None, readme.lines());
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: String = lines
                .by_ref()
                .take_while(|line| *line != "```")
                .map(|line| format!("{line}\n"))
                .collect();
            blocks.push(Block {
                name: name.take(),
                language: language.to_owned(),
                text,
            });
        } else if let Some(comment) = line.strip_prefix("<!-- test: ") {
            name = Some(comment.trim_end_matches(" -->").to_owned());
        } else if !line.is_empty() {
            name = None;
        }
    }
    blocks
}

/// The text of the block of this name.
pub fn block(name: &str) -> String {
    let found = blocks().into_iter().find(|block| block.name.as_deref() == Some(name));
    found
        .unwrap_or_else(|| panic!("no page has a block marked <!-- test: {name} -->"))
        .text
}

/// The rows of the table of this name, without its head, cells trimmed.
pub fn table(name: &str) -> Vec<Vec<String>> {
    let readme = readme();
    let (_, after) = readme
        .split_once(&format!("<!-- test: {name} -->\n\n"))
        .unwrap_or_else(|| panic!("no page has a table marked <!-- test: {name} -->"));
    rows(after).skip(2).collect()
}

/// Rows of the Markdown table that a text begins with, its head and rule included.
pub fn rows(text: &str) -> impl Iterator<Item = Vec<String>> {
    let lines = text.lines().take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
}

/// README.md and the pages that it leads to, whose commands and tables are tested.
pub const PAGES: [&str; 10] = [
    "README.md",
    "docs/INSTALL.md",
    "docs/GUIDE.md",
    "docs/DEPLOY.md",
    "docs/REFERENCE.md",
    "docs/RESTORE.md",
    "docs/KEYS.md",
    "docs/SPEED.md",
    "docs/FAQ.md",
    "docs/RUNBOOK.md",
];

/// All of them, one behind the other.
pub fn readme() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    PAGES.map(|page| fs::read_to_string(root.join(page)).expect("a page")).join("\n")
}

/// What a reader's shell printed.
pub struct Printed {
    pub success: bool,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Printed {
    /// Asserts that every command of the block went well, and gives its standard output.
    pub fn fine(self) -> Vec<u8> {
        let printed = String::from_utf8_lossy(&self.stdout);
        assert!(self.success, "stdout: {printed:.4000}\nstderr: {}", self.stderr);
        self.stdout
    }
}

/// Runs a block in a folder. A reader who pastes lines sees each of them fail; a script must be told to look (`-e`, `pipefail`).
pub fn run(name: &str, folder: &Path, environment: &BTreeMap<String, String>) -> Printed {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &block(name)])
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .envs(environment)
        .stdin(Stdio::null())
        .output()
        .expect("bash starts");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Printed {
        success: output.status.success(),
        stdout: output.stdout,
        stderr,
    }
}

/// The same without an environment: for what needs no server.
pub fn run_alone(name: &str, folder: &Path) -> Printed {
    run(name, folder, &BTreeMap::new())
}

/// The name that the README's commands give the database they restore into.
pub const RESTORED: &str = "app_restored";

/// Runs one of the README's restore blocks into a server, where it makes the database `RESTORED`.
pub fn restore_into(server: &Server, name: &str, folder: &Path) -> Printed {
    let environment = client_environment(server);
    if matches!(name, "restore-bzip2" | "restore-zstd" | "restore-none") {
        run("restore-database", folder, &environment).fine();
    }
    run(name, folder, &environment)
}

/// What a reader's shell has set to reach a server, and its tools in the path.
fn client_environment(server: &Server) -> BTreeMap<String, String> {
    let psql = server.psql_command("postgres");
    let text = |value: &std::ffi::OsStr| value.to_string_lossy().into_owned();
    let mut pairs: BTreeMap<_, _> = psql
        .get_envs()
        .filter_map(|(name, value)| Some((text(name), text(value?))))
        .collect();
    pairs.insert("PATH".into(), format!("{}:/usr/local/bin:/usr/bin:/bin", server.bin().display()));
    pairs
}

/// A plain dump by the server's own `pg_dump` with the options of a backup, made comparable: the lines that hold a random
/// key are left out.
pub fn dump(server: &Server, database: &str) -> Vec<u8> {
    dump_with(server, database, &["--quote-all-identifiers"])
}

/// The same with these options, in the database's own encoding.
pub fn dump_with(server: &Server, database: &str, options: &[&str]) -> Vec<u8> {
    let mut command = Command::new(server.bin().join("pg_dump"));
    let output = command
        .args(options)
        .envs(client_environment(server))
        .env_remove("PGCLIENTENCODING")
        .env("PGDATABASE", database)
        .stdin(Stdio::null())
        .output()
        .expect("pg_dump starts");
    assert!(output.status.success(), "pg_dump: {}", String::from_utf8_lossy(&output.stderr));
    let random = |line: &&[u8]| line.starts_with(b"\\restrict ") || line.starts_with(b"\\unrestrict ");
    output
        .stdout
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !random(line))
        .flatten()
        .copied()
        .collect()
}

/// Asserts that two databases of one server are the same to `pg_dump`; if not, shows the first line that differs.
pub fn assert_same(server: &Server, one: &str, other: &str) {
    let (a, b) = (dump(server, one), dump(server, other));
    if a != b {
        let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
        let (a, b) = (lines(&a), lines(&b));
        let place = a
            .iter()
            .zip(&b)
            .position(|(one, other)| one != other)
            .unwrap_or(a.len().min(b.len()));
        panic!(
            "{one} and {other} differ at line {}:\n{:.500?}\n{:.500?}",
            place + 1,
            a.get(place),
            b.get(place)
        );
    }
}
