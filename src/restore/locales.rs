//! Locales of the C library that a drill's server needs and the machine lacks, made from glibc's sources where these are
//! installed (Debian's package `locales`): bounds of partitions, checks and unique expressions over text depend on them.

use crate::cancel::Cancel;
use crate::error::Result;
use crate::process::writer::{ChildWriter, OutputWanted};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCES: &str = "/usr/share/i18n/locales";
const CHARMAPS: &str = "/usr/share/i18n/charmaps";
/// Each locale of the system with its charset.
const SUPPORTED: &str = "/usr/share/i18n/SUPPORTED";
const LOCALEDEF: &str = "/usr/bin/localedef";
const LOCALE: &str = "/usr/bin/locale";
/// Of `locale -a`.
const LIST: usize = 1 << 20;

/// A name such as `de_DE.UTF-8`, `ca_ES.ISO-8859-1@valencia`, `ja_JP.eucJP` or `de_DE`, as localedef takes it apart.
#[derive(Debug, PartialEq, Eq)]
struct LocaleName<'a> {
    /// With its modifier: a file of the sources.
    source: String,
    /// As the name spells it.
    charset: Option<&'a str>,
}

impl<'a> LocaleName<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let (rest, modifier) = name.split_once('@').map_or((name, None), |(rest, modifier)| (rest, Some(modifier)));
        let (language, charset) = match rest.split_once('.') {
            Some((language, charset)) => (language, Some(charset)),
            None => (rest, None),
        };
        let is_plain =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        let parts = [Some(language), charset, modifier];
        // Names of files: no way out of the folder of sources.
        parts.into_iter().flatten().all(is_plain).then(|| Self {
            source: modifier.map_or_else(|| language.to_owned(), |modifier| format!("{language}@{modifier}")),
            charset,
        })
    }

    /// localedef's own name of the charset: of the maps that it has, or what the system has for a name without one.
    fn charmap(&self, maps: &[String], supported: &str) -> Option<String> {
        match self.charset {
            Some(charset) => maps.iter().find(|map| letters(map) == letters(charset)).cloned(),
            None => {
                let lines = supported.lines().filter_map(|line| line.trim().split_once(' '));
                let own = lines.into_iter().find(|(name, _)| *name == self.source);
                own.map(|(_, charset)| charset.trim().to_owned())
            }
        }
    }
}

/// Without what spellings differ in: `EUC-JP` is `eucJP`.
fn letters(charset: &str) -> String {
    let letters = charset.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

fn charmaps() -> Vec<String> {
    let files = std::fs::read_dir(CHARMAPS).into_iter().flatten().flatten();
    let name = |file: std::fs::DirEntry| file.file_name().into_string().ok();
    files.filter_map(name).map(|name| name.trim_end_matches(".gz").to_owned()).collect()
}

/// Makes them in `folder` if the machine lacks one, by `command` in the name of who owns that, and gives what `LOCPATH` must
/// be then; `None`: nothing was made. One that cannot be made is none of our business: the server will say that it lacks it.
pub(super) fn make(wanted: &[String], folder: &Path, command: impl Fn(&Path) -> Command, cancel: &Cancel) -> Result<Option<PathBuf>> {
    let is_built_in = |name: &str| matches!(name, "C" | "POSIX" | "C.UTF-8" | "C.utf8" | "");
    let wanted: BTreeSet<&String> = wanted.iter().filter(|name| !is_built_in(name)).collect();
    if wanted.is_empty() || ![LOCALEDEF, LOCALE].iter().all(|program| Path::new(program).is_file()) {
        return Ok(None);
    }
    let mut names = command(Path::new(LOCALE));
    names.arg("-a");
    let mut list = ChildWriter::start(names, Vec::new(), OutputWanted::Bytes(LIST), cancel)?;
    list.finish()?;
    let present = String::from_utf8_lossy(list.output()).into_owned();
    if wanted
        .iter()
        .all(|name| present.lines().any(|present| normal(present) == normal(name)))
    {
        return Ok(None);
    }
    let (maps, supported) = (charmaps(), std::fs::read_to_string(SUPPORTED).unwrap_or_default());
    let mut is_any_made = false;
    // Those of the system too: with LOCPATH they are not looked for anywhere else.
    for name in wanted {
        let Some(parsed) = LocaleName::parse(name) else { continue };
        let Some(charmap) = parsed.charmap(&maps, &supported) else {
            continue;
        };
        let source = parsed.source;
        if !Path::new(SOURCES).join(&source).is_file() {
            continue;
        }
        let mut localedef = command(Path::new(LOCALEDEF));
        localedef
            .args(["--no-archive", "--quiet", "-i", &source, "-f", &charmap])
            .arg(folder.join(name));
        let mut made = ChildWriter::start(localedef, Vec::new(), OutputWanted::Nothing, cancel)?;
        // Its status is 1 for warnings as well: what counts is what is there.
        made.finish()?;
        is_any_made |= folder.join(name).join("LC_COLLATE").is_file();
    }
    Ok(is_any_made.then(|| folder.to_owned()))
}

/// As the C library compares them: `en_US.UTF-8` is `en_US.utf8`.
fn normal(name: &str) -> String {
    match name.split_once('.') {
        None => name.to_owned(),
        Some((language, rest)) => {
            let (charset, modifier) = rest.split_once('@').unwrap_or((rest, ""));
            format!("{language}.{}@{modifier}", charset.to_ascii_lowercase().replace('-', ""))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_and_lead_nowhere() {
        let name = |source: &str, charset| {
            Some(LocaleName {
                source: source.to_owned(),
                charset,
            })
        };
        assert_eq!(LocaleName::parse("de_DE.utf8"), name("de_DE", Some("utf8")));
        assert_eq!(
            LocaleName::parse("ca_ES.ISO-8859-1@valencia"),
            name("ca_ES@valencia", Some("ISO-8859-1"))
        );
        assert_eq!(LocaleName::parse("de_DE"), name("de_DE", None));
        for none in ["../x.UTF-8", "de_DE.", ".UTF-8", "a/b.UTF-8", "a.UTF-8@../x", "a b.UTF-8", "..", ""] {
            assert_eq!(LocaleName::parse(none), None, "{none}");
        }
    }

    /// Drills of databases in LATIN1 or EUC_JP failed: `localedef` does not know `iso88591` or `eucJP`.
    #[test]
    fn charsets_have_the_names_that_localedef_knows() {
        let maps = ["EUC-JP", "ISO-8859-1", "ISO-8859-15", "UTF-8", "KOI8-R"].map(str::to_owned);
        let supported = "de_DE.UTF-8 UTF-8\nde_DE ISO-8859-1\nde_DE@euro ISO-8859-15\n";
        for (name, charmap) in [
            ("de_DE.utf8", Some("UTF-8")),
            ("de_DE.iso88591", Some("ISO-8859-1")),
            ("ja_JP.eucJP", Some("EUC-JP")),
            ("ru_RU.koi8r", Some("KOI8-R")),
            ("de_DE", Some("ISO-8859-1")),
            ("de_DE@euro", Some("ISO-8859-15")),
            ("xx_XX", None),
            ("de_DE.none", None),
        ] {
            let told = LocaleName::parse(name).and_then(|name| name.charmap(&maps, supported));
            assert_eq!(told.as_deref(), charmap, "{name}");
        }
    }

    #[test]
    fn spellings_of_one_locale_are_the_same() {
        assert_eq!(normal("en_US.UTF-8"), normal("en_US.utf8"));
        assert_ne!(normal("en_US.UTF-8"), normal("en_US.ISO-8859-1"));
        assert_ne!(normal("de_DE.UTF-8@euro"), normal("de_DE.UTF-8"));
    }
}
