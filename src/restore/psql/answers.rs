//! What a session has done so far: it answers a question of ours when all before that has run.

use super::{Psql, PsqlMode, PsqlTarget};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::pipeline::Stage;
use crate::process::output::LineFilter;
use crate::restore::psql::trial_reports::{ReportFilter, TrialReports, random_word};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of a line: more than an answer.
const LONGEST_LINE: usize = 128;

/// Questions and their answers, each a word that nobody can have guessed, with a number.
pub(super) struct Answers {
    word: String,
    asked: u64,
    answered: Arc<AtomicU64>,
}

impl PsqlTarget {
    /// One of several sessions of a restore. What it says of statements that were tried is told there.
    pub(in crate::restore) fn session(&self, tried: Option<&TrialReports>, cancel: &Cancel) -> Result<Psql> {
        let manner = PsqlMode {
            answers: true,
            ..PsqlMode::all(false)
        };
        let mut psql = self.restore(manner, cancel)?;
        if let Some(tried) = tried {
            psql.child.filter_stderr(Box::new(ReportFilter::new(tried.clone())));
        }
        let (word, answered) = (random_word()?, Arc::default());
        psql.child.filter_stdout(Box::new(AnswerFilter {
            word: word.clone(),
            answered: Arc::clone(&answered),
            line: Vec::new(),
        }));
        psql.answers = Some(Answers { word, asked: 0, answered });
        Ok(psql)
    }
}

impl Psql {
    /// Waits until all that was put has run, however long that takes.
    pub(in crate::restore) fn settle(&mut self) -> Result<()> {
        let Some(answers) = &mut self.answers else {
            return Err(Error::new(Code::Bug, "a session that does not answer is asked"));
        };
        answers.asked += 1;
        let (asked, answered) = (answers.asked, Arc::clone(&answers.answered));
        let question = format!("\nSELECT '{}{asked}';\n", answers.word);
        self.put(question.as_bytes())?;
        if self.child.wait_until(|| answered.load(Ordering::Acquire) >= asked)? {
            return Ok(());
        }
        self.ended()?;
        Err(Error::new(Code::RestoreFailed, "psql ended before the dump did"))
    }
}

/// Keeps nothing of what statements of the dump print.
struct AnswerFilter {
    word: String,
    answered: Arc<AtomicU64>,
    line: Vec<u8>,
}

impl LineFilter for AnswerFilter {
    fn read(&mut self, bytes: &[u8], _kept: &mut Vec<u8>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if !piece.ends_with(b"\n") {
                continue;
            }
            let line = std::str::from_utf8(&self.line).unwrap_or_default().trim_end();
            if let Some(number) = line.strip_prefix(&self.word).and_then(|number| number.parse().ok()) {
                self.answered.fetch_max(number, Ordering::Release);
            }
            self.line.clear();
        }
    }

    fn finish(&mut self, _kept: &mut Vec<u8>) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_line_of_its_own_with_the_word_and_a_number() {
        let answered = Arc::new(AtomicU64::default());
        let mut filter = AnswerFilter {
            word: "w".to_owned(),
            answered: Arc::clone(&answered),
            line: Vec::new(),
        };
        let mut kept = Vec::new();
        for (bytes, number) in [
            (&b"1\n w2\nw\nwx\n"[..], 0),
            (b"w1", 0),
            (b"\n", 1),
            (b"w", 1),
            (b"3\r\nw2\n", 3),
            (&[b'x'; 1000], 3),
            (b"w9\nw4\n", 4),
        ] {
            filter.read(bytes, &mut kept);
            assert_eq!(answered.load(Ordering::Acquire), number, "{bytes:?}");
        }
        assert!(kept.is_empty());
    }
}
