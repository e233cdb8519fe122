//! Locales of the C library that a drill's server needs and the machine lacks, made from glibc's sources where these are
//! installed (Debian's package `locales`): bounds of partitions, checks and unique expressions over text depend on them.

use crate::cancel::Cancel;
use crate::error::Result;
use crate::process::writer::{ChildWriter, OutputWanted};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCES: &str = "/usr/share/i18n/locales";
const LOCALEDEF: &str = "/usr/bin/localedef";
const LOCALE: &str = "/usr/bin/locale";
/// Of `locale -a`.
const LIST: usize = 1 << 20;

/// A name such as `de_DE.UTF-8` or `ca_ES.ISO-8859-1@valencia`, as localedef takes it apart.
#[derive(Debug, PartialEq, Eq)]
struct LocaleName<'a> {
    /// With its modifier: a file of the sources.
    source: String,
    charset: &'a str,
}

impl<'a> LocaleName<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let (rest, modifier) = name.split_once('@').map_or((name, None), |(rest, modifier)| (rest, Some(modifier)));
        let (language, charset) = rest.split_once('.')?;
        let is_plain =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        let parts = [Some(language), Some(charset), modifier];
        // Names of files: no way out of the folder of sources.
        parts.into_iter().flatten().all(is_plain).then(|| Self {
            source: modifier.map_or_else(|| language.to_owned(), |modifier| format!("{language}@{modifier}")),
            charset: match charset.to_ascii_lowercase().replace('-', "").as_str() {
                "utf8" => "UTF-8",
                _ => charset,
            },
        })
    }
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
    let mut is_any_made = false;
    // Those of the system too: with LOCPATH they are not looked for anywhere else.
    for name in wanted {
        let Some(LocaleName { source, charset }) = LocaleName::parse(name) else {
            continue;
        };
        if !Path::new(SOURCES).join(&source).is_file() {
            continue;
        }
        let mut localedef = command(Path::new(LOCALEDEF));
        localedef
            .args(["--no-archive", "--quiet", "-i", &source, "-f", charset])
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
        assert_eq!(LocaleName::parse("de_DE.utf8"), name("de_DE", "UTF-8"));
        assert_eq!(LocaleName::parse("ca_ES.ISO-8859-1@valencia"), name("ca_ES@valencia", "ISO-8859-1"));
        for none in ["de_DE", "../x.UTF-8", "de_DE.", ".UTF-8", "a/b.UTF-8", "a.UTF-8@../x", "a b.UTF-8"] {
            assert_eq!(LocaleName::parse(none), None, "{none}");
        }
    }

    #[test]
    fn spellings_of_one_locale_are_the_same() {
        assert_eq!(normal("en_US.UTF-8"), normal("en_US.utf8"));
        assert_ne!(normal("en_US.UTF-8"), normal("en_US.ISO-8859-1"));
        assert_ne!(normal("de_DE.UTF-8@euro"), normal("de_DE.UTF-8"));
    }
}
