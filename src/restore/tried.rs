//! What a server says of the statements that were tried, in lines of psql's stderr that a mark tells from all others.

use super::filter::NotRestored;
use crate::error::{Code, Error, Result};
use std::sync::{Arc, Mutex, PoisonError};

/// More things that depend on something not restored than a report is read for.
const MAX_LINES: usize = 10_000;
/// Of a line: more than a name and what the server says of it.
const MAX_LINE: usize = 16 << 10;
/// Of a name.
const MAX_NAME: usize = 300;

/// Shared by who starts psql and who reads what it says.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    mark: String,
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    lines: Vec<NotRestored>,
    more: u64,
}

impl Tried {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            mark: random_word()?,
            told: Arc::default(),
        })
    }

    /// That nobody can have guessed.
    pub(super) fn mark(&self) -> &str {
        &self.mark
    }

    pub(super) fn take(&self) -> Vec<NotRestored> {
        let Told { mut lines, more } = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        if more > 0 {
            lines.push(NotRestored {
                what: format!("{more} more"),
                reason: format!("only the first {MAX_LINES} that the server refused are told one by one"),
            });
        }
        lines
    }

    fn read(&self, line: &[u8]) -> bool {
        let line = String::from_utf8_lossy(line);
        let mut parts = line.splitn(3, &self.mark).skip(1).map(str::trim);
        let (Some(what), Some(reason)) = (parts.next(), parts.next()) else {
            return false;
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.lines.len() < MAX_LINES {
            let what = match what.char_indices().nth(MAX_NAME) {
                Some((end, _)) => format!("{}…", &what[..end]),
                None => what.to_owned(),
            };
            let reason = reason.chars().take(2 * MAX_NAME).collect();
            told.lines.push(NotRestored { what, reason });
        } else {
            told.more += 1;
        }
        true
    }
}

/// Takes the marked lines out of what comes.
pub(super) struct Sieve {
    tried: Tried,
    line: Vec<u8>,
    /// The rest of a line that was too long to be one.
    passes: bool,
}

impl Sieve {
    pub(super) fn new(tried: Tried) -> Self {
        let (line, passes) = (Vec::new(), false);
        Self { tried, line, passes }
    }

    pub(super) fn take(&mut self, bytes: &[u8], kept: &mut Vec<u8>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let is_end = piece.ends_with(b"\n");
            self.line.extend_from_slice(piece);
            let is_long = self.line.len() > MAX_LINE;
            if is_end || is_long {
                if self.passes || !self.tried.read(&self.line) {
                    kept.extend_from_slice(&self.line);
                }
                self.line.clear();
                self.passes = is_long && !is_end;
            }
        }
    }

    /// A line that did not end.
    pub(super) fn finish(&mut self, kept: &mut Vec<u8>) {
        kept.append(&mut self.line);
    }
}

pub(super) fn random_word() -> Result<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::new(Code::Bug, "no random bytes"))?;
    Ok(crate::envelope::hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_lines_are_found_in_pieces_of_any_size_and_taken_out() {
        let tried = Tried::new().unwrap();
        let mark = tried.mark().to_owned();
        let said = format!(
            "psql:<stdin>:1: WARNING:  x\nW:  {mark} VIEW s.v {mark} PostgreSQL said: no\n{}\n{mark} VIEW w {mark} y\nend",
            "z".repeat(40_000)
        );
        for size in [1, 7, 1 << 20] {
            let (mut sieve, mut kept) = (Sieve::new(tried.clone()), Vec::new());
            said.as_bytes().chunks(size).for_each(|piece| sieve.take(piece, &mut kept));
            sieve.finish(&mut kept);
            assert_eq!(
                kept.len(),
                said.len() - format!("W:  {mark} VIEW s.v {mark} PostgreSQL said: no\n{mark} VIEW w {mark} y\n").len()
            );
            let told = tried.take();
            let what: Vec<&str> = told.iter().map(|lost| &*lost.what).collect();
            assert_eq!((what, &*told[0].reason), (vec!["VIEW s.v", "VIEW w"], "PostgreSQL said: no"));
        }
    }

    #[test]
    fn beyond_a_bound_marked_lines_are_counted() {
        let tried = Tried::new().unwrap();
        let line = format!("{0} {1} {0} no\n", tried.mark(), "long".repeat(1000));
        let (mut sieve, mut kept) = (Sieve::new(tried.clone()), Vec::new());
        (0..MAX_LINES + 5).for_each(|_| sieve.take(line.as_bytes(), &mut kept));
        let told = tried.take();
        assert_eq!((told.len(), &*told[MAX_LINES].what, kept.len()), (MAX_LINES + 1, "5 more", 0));
        assert!(told[0].what.chars().count() <= MAX_NAME + 1);
    }
}
