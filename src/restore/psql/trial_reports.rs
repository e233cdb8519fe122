//! What a server says of the statements that were tried, in lines of psql's stderr that a mark tells from all others.

use super::report_text::ReportText;
use crate::error::Result;
use crate::format::{hex, sha256, unhex_all};
use crate::process::output::LineFilter;
use crate::random;
use crate::restore::filter::NotRestored;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// More things that depend on something not restored than a report is read for.
const MAX_LINES: usize = 10_000;
/// Of a line: more than a name and what the server says of it.
const MAX_LINE: usize = 16 << 10;
/// Bytes of a name.
const MAX_NAME: usize = 500;
const MAX_REASON: usize = 600;
const BEGINNING: &str = "pgseal tried ";
/// Before what a server said.
pub(in crate::restore) const SAID: &str = "PostgreSQL said: ";
pub(in crate::restore) const ELSEWHERE: &str = "its rows are on another server, which a drill does not ask";
pub(in crate::restore) const REFUSED: &str = "its query asks for what PostgreSQL keeps for superusers";
pub(in crate::restore) const LACKS: &str = "what it needs was not restored";
/// Shared by who starts psql and who reads what it says.
#[derive(Clone, Debug)]
pub(in crate::restore) struct TrialReports {
    mark: String,
    told: Arc<Mutex<TrialReport>>,
}

#[derive(Debug, Default)]
struct TrialReport {
    lines: Vec<NotRestored>,
    seen: BTreeSet<String>,
    more: u64,
}

impl TrialReports {
    pub(in crate::restore) fn new() -> Result<Self> {
        Ok(Self {
            mark: random_word()?,
            told: Arc::default(),
        })
    }

    /// That nobody can have guessed.
    pub(in crate::restore) fn mark(&self) -> &str {
        &self.mark
    }

    pub(in crate::restore) fn take_not_restored(&self) -> Vec<NotRestored> {
        let TrialReport { mut lines, more, .. } = std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner));
        if more > 0 {
            lines.push(NotRestored {
                what: format!("{more} more"),
                reason: ReportText::ours(format!("only the first {MAX_LINES} that the server refused are told one by one")),
            });
        }
        lines
    }

    fn read(&self, line: &[u8]) -> bool {
        let line = String::from_utf8_lossy(line);
        let Some((_, told)) = line.split_once(BEGINNING) else {
            return false;
        };
        let mut words = told.trim_end().splitn(4, ' ');
        let (proof, statement, what) = (words.next(), words.next().unwrap_or_default(), words.next());
        let reason = words.next().unwrap_or_default();
        let what = what.and_then(unhex_all).and_then(|what| String::from_utf8(what).ok());
        let Some(what) = what.filter(|what| proof == Some(&*proof_of(&self.mark, statement, what))) else {
            return false;
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Code of a statement may say again what its own statement may say; another statement may be about a thing that is
        // called the same.
        let key = format!("{statement} {what}");
        if told.seen.contains(&key) {
            return true;
        }
        if told.lines.len() < MAX_LINES {
            told.seen.insert(key);
            let reason: String = reason.chars().take(MAX_REASON).collect();
            let reason = known_reason(&reason);
            told.lines.push(NotRestored { what, reason });
        } else {
            told.more += 1;
        }
        true
    }
}

/// What a server is to say of a thing. Anyone who reads the statement, as its own code can, learns to say this again, and nothing
/// of any other statement, which a word without spaces tells from all others. Hexadecimal, since the session may be in any
/// encoding.
pub(in crate::restore) fn told_line(mark: &str, statement: &str, what: &str) -> String {
    let what = &what[..what.floor_char_boundary(MAX_NAME)];
    format!(
        "{BEGINNING}{} {statement} {}",
        proof_of(mark, statement, what),
        hex(what.as_bytes())
    )
}

fn proof_of(mark: &str, statement: &str, what: &str) -> String {
    hex(&sha256([mark, "\n", statement, "\n", what].concat().as_bytes())[..16])
}

/// Takes the marked lines out of what comes.
pub(in crate::restore) struct ReportFilter {
    tried: TrialReports,
    line: Vec<u8>,
    /// The rest of a line that was too long to be one.
    passes: bool,
    /// The last message was one of these: its context is dropped with it.
    has_taken: bool,
}

impl ReportFilter {
    pub(in crate::restore) fn new(tried: TrialReports) -> Self {
        Self {
            tried,
            line: Vec::new(),
            passes: false,
            has_taken: false,
        }
    }
}

impl ReportFilter {
    /// One line, or the beginning or rest of a long one.
    fn end_line(&mut self, kept: &mut Vec<u8>) {
        let is_taken = !self.passes && self.tried.read(&self.line);
        if is_taken || (!self.passes && self.line.starts_with(b"psql:")) {
            self.has_taken = is_taken;
        }
        if !self.has_taken {
            kept.extend_from_slice(&self.line);
        }
        self.line.clear();
    }
}

impl LineFilter for ReportFilter {
    fn read(&mut self, bytes: &[u8], kept: &mut Vec<u8>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let is_end = piece.ends_with(b"\n");
            self.line.extend_from_slice(piece);
            let is_long = self.line.len() > MAX_LINE;
            if is_end || is_long {
                self.end_line(kept);
                self.passes = is_long && !is_end;
            }
        }
    }

    fn finish(&mut self, kept: &mut Vec<u8>) {
        if !self.line.is_empty() {
            self.end_line(kept);
        }
    }
}

/// Only what a statement of ours says. Code that ran before there were rows can keep the line, and say it again when there are.
fn known_reason(reason: &str) -> ReportText {
    if let Some((before, code)) = reason.split_once("SQLSTATE ") {
        let before = before.strip_suffix(": ").unwrap_or(before.trim_end());
        let known = [SAID.trim_end_matches(": "), REFUSED, ELSEWHERE]
            .into_iter()
            .find(|known| *known == before);
        if let Some(known) = known {
            return ReportText::of_state(known, code.trim());
        }
    }
    let known = [ELSEWHERE, LACKS].into_iter().find(|known| *known == reason);
    known.unwrap_or("its own code said something else, which may be of rows").into()
}

pub(in crate::restore) fn random_word() -> Result<String> {
    Ok(crate::format::hex(&random::bytes::<16>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_lines_are_found_in_pieces_of_any_size_and_taken_out() {
        let tried = TrialReports::new().unwrap();
        let (one, other) = (
            told_line(tried.mark(), "t1", "VIEW s.v"),
            told_line(tried.mark(), "t2", "VIEW \u{e9}"),
        );
        // By code of the dump: with a proof of its own, of another thing, and of nothing.
        let forged = [
            told_line("guessed", "t1", "TABLE pay"),
            one.replace(&hex(b"VIEW s.v"), &hex(b"TABLE pay")),
            one.replace(" t1 ", " t2 "),
            "pgseal tried".to_owned(),
        ];
        let forged = forged.map(|line| format!("psql: W:  {line} no\n")).concat();
        let said = format!(
            "psql:<stdin>:1: WARNING:  x\npsql: W:  {one} PostgreSQL said: SQLSTATE 42501\nCONTEXT:  x\n{forged}{}\npsql: W:  {other} y\n\
             psql: W:  {one} again\npsql: end",
            "z".repeat(40_000)
        );
        let taken =
            format!("psql: W:  {one} PostgreSQL said: SQLSTATE 42501\nCONTEXT:  x\npsql: W:  {other} y\npsql: W:  {one} again\n").len();
        for size in [1, 7, 1 << 20] {
            let (mut filter, mut kept) = (ReportFilter::new(tried.clone()), Vec::new());
            said.as_bytes().chunks(size).for_each(|piece| filter.read(piece, &mut kept));
            filter.finish(&mut kept);
            assert_eq!(kept.len(), said.len() - taken);
            let told = tried.take_not_restored();
            let what: Vec<&str> = told.iter().map(|lost| &*lost.what).collect();
            assert_eq!(
                (what, told[0].reason.as_str()),
                (vec!["VIEW s.v", "VIEW \u{e9}"], "PostgreSQL said: SQLSTATE 42501 (no permission)")
            );
        }
    }

    /// The loss of one unique index was hidden by another one of its name, whose own expression had told a reason of its own.
    #[test]
    fn two_statements_about_things_of_one_name_are_told_both() {
        let tried = TrialReports::new().unwrap();
        let (mut filter, mut kept) = (ReportFilter::new(tried.clone()), Vec::new());
        for (statement, reason) in [("t1", "PostgreSQL said: SQLSTATE 42501"), ("t1", LACKS), ("t2", LACKS)] {
            let line = format!("{} {reason}\n", told_line(tried.mark(), statement, "UNIQUE INDEX once"));
            filter.read(line.as_bytes(), &mut kept);
        }
        let reasons: Vec<String> = tried.take_not_restored().into_iter().map(|lost| lost.reason.into()).collect();
        assert_eq!(reasons, ["PostgreSQL said: SQLSTATE 42501 (no permission)", LACKS]);
    }

    /// A view's own code read its statement, and said rows in place of the reason; so did code that had kept another's line from before
    /// there were rows.
    #[test]
    fn only_reasons_of_ours_are_told() {
        let tried = TrialReports::new().unwrap();
        let (mut filter, mut kept) = (ReportFilter::new(tried.clone()), Vec::new());
        let reasons = [
            "It says: 078-05-1120 John Smith".to_owned(),
            "PostgreSQL said: 078-05-1120".to_owned(),
            "078-05-1120: SQLSTATE 42501".to_owned(),
            "PostgreSQL said: SQLSTATE 07805".to_owned(),
            "PostgreSQL said: SQLSTATE 42501".to_owned(),
            format!("{REFUSED}: SQLSTATE 42501"),
            LACKS.to_owned(),
        ];
        for (number, reason) in reasons.iter().enumerate() {
            let line = format!("psql: W:  {} {reason}\n", told_line(tried.mark(), "t1", &format!("VIEW v{number}")));
            filter.read(line.as_bytes(), &mut kept);
        }
        let told: Vec<String> = tried.take_not_restored().into_iter().map(|lost| lost.reason.into()).collect();
        assert_eq!(told.len(), reasons.len());
        assert!(!told.concat().contains("078"), "{told:?}");
        assert_eq!(told[4], "PostgreSQL said: SQLSTATE 42501 (no permission)");
        assert_eq!(told[5], format!("{REFUSED}: SQLSTATE 42501 (no permission)"));
        assert_eq!(told[6], LACKS);
    }

    #[test]
    fn beyond_a_bound_marked_lines_are_counted() {
        let tried = TrialReports::new().unwrap();
        let (mut filter, mut kept) = (ReportFilter::new(tried.clone()), Vec::new());
        for number in 0..MAX_LINES + 5 {
            let line = format!(
                "{} no\n",
                told_line(tried.mark(), "t1", &format!("{number}{}", "long".repeat(1000)))
            );
            filter.read(line.as_bytes(), &mut kept);
        }
        let told = tried.take_not_restored();
        assert_eq!((told.len(), &*told[MAX_LINES].what, kept.len()), (MAX_LINES + 1, "5 more", 0));
        assert!(told[0].what.len() <= MAX_NAME);
    }
}
