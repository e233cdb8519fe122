//! What a drill passes on of a server's words: nothing of the rows. A drill's report may be left where others read it, and a
//! server quotes rows in its messages, as may whatever code of the backup raises an error or a warning.

use super::report_text::ReportText;
use super::sqlstates::in_words;

/// Warnings that an honest restore brings: about privileges, and about publications where `wal_level` is too low.
const WARNINGS: &[(&str, &str)] = &[
    ("01006", "privileges that were not taken"),
    ("01007", "privileges that were not given"),
    ("55000", "a publication, for which wal_level is too low"),
];
/// Errors that are told one by one: each is a choice of code that ran.
const TOLD: usize = 3;
/// How a message of a time with rows ends.
pub(super) const WITHOUT_WORDS: &str = "words, which may be of rows";

/// What psql wrote to stderr with `VERBOSITY` `verbose` and `SHOW_CONTEXT` `always`, as it would be without these, and
/// without anything that may be of rows. `has_rows`: some were sent, or stand there. Then no words count, of whatever line: code
/// can write lines as psql does, with any number, and have others taken out before and behind them.
pub(super) fn without_rows(said: &str, has_rows: bool) -> ReportText {
    let messages = messages(said);
    if !has_rows {
        return ReportText::before_rows(messages.iter().map(ServerMessage::told).collect());
    }
    let mut hidden = HiddenMessages::default();
    messages.iter().for_each(|message| hidden.add(message));
    ReportText::before_rows(hidden.told())
}

/// Messages of a time with rows: their number and their codes are up to code that may have read rows, too.
#[derive(Default)]
struct HiddenMessages {
    errors: Vec<String>,
    has_more: bool,
    warnings: [bool; WARNINGS.len()],
    has_other_warnings: bool,
}

impl HiddenMessages {
    fn add(&mut self, message: &ServerMessage<'_>) {
        let Some((severity, code)) = message.severity() else { return };
        if !matches!(severity, "ERROR" | "FATAL" | "PANIC") {
            match WARNINGS.iter().position(|(known, _)| *known == code) {
                Some(known) => self.warnings[known] = true,
                None => self.has_other_warnings = true,
            }
        } else if self.errors.len() < TOLD {
            // Neither its line nor the context of its COPY: code can write such lines, with any number and any name.
            let what = format!("psql:<stdin>: {severity}:  {}, without its {WITHOUT_WORDS}\n", in_words(code));
            self.errors.push(what);
        } else {
            self.has_more = true;
        }
    }

    fn told(self) -> String {
        let mut told = self.errors.concat();
        if self.has_more {
            told.push_str(&format!("more errors, without their {WITHOUT_WORDS}\n"));
        }
        for ((_, name), is_there) in WARNINGS.iter().zip(self.warnings) {
            if is_there {
                told.push_str(&format!("a warning about {name}\n"));
            }
        }
        if self.has_other_warnings {
            told.push_str(&format!("warnings, without their {WITHOUT_WORDS}\n"));
        }
        told
    }
}

/// Whether rows were among what psql was fed.
#[derive(Debug, Default)]
pub(super) struct RowsSeen {
    are_there: bool,
    /// The end of what came, since the words may come in two pieces.
    tail: Vec<u8>,
}

impl RowsSeen {
    /// Of tables, and of large objects.
    const WORDS: [&[u8]; 2] = [b" FROM stdin;", b"lowrite("];
    const LONGEST: usize = 12;

    fn find(bytes: &[u8]) -> bool {
        Self::WORDS.iter().any(|words| memchr::memmem::find(bytes, words).is_some())
    }

    pub(super) fn see(&mut self, bytes: &[u8]) {
        if self.are_there {
            return;
        }
        self.tail.extend_from_slice(&bytes[..bytes.len().min(Self::LONGEST)]);
        self.are_there = Self::find(&self.tail) || Self::find(bytes);
        self.tail.extend_from_slice(bytes.get(Self::LONGEST..).unwrap_or_default());
        let surplus = self.tail.len().saturating_sub(Self::LONGEST - 1);
        self.tail.drain(..surplus);
    }

    /// Of a database that has some from the start.
    pub(super) fn before_all() -> Self {
        Self {
            are_there: true,
            ..Self::default()
        }
    }

    pub(super) fn are_there(&self) -> bool {
        self.are_there
    }
}

/// A line that begins with psql's name, and what belongs to it.
struct ServerMessage<'a> {
    first: &'a str,
    rest: Vec<&'a str>,
}

fn messages(said: &str) -> Vec<ServerMessage<'_>> {
    let mut messages: Vec<ServerMessage> = Vec::new();
    for line in said.lines() {
        match messages.last_mut() {
            Some(message) if !line.starts_with("psql:<stdin>:") => message.rest.push(line),
            _ => messages.push(ServerMessage {
                first: line,
                rest: Vec::new(),
            }),
        }
    }
    messages
}

impl ServerMessage<'_> {
    /// Of a time when there were no rows.
    fn told(&self) -> String {
        // `psql:<stdin>:12: ERROR:  42883: …`; psql's own words have no code.
        let Some((place, _, text)) = self.parts() else {
            return match self.first.starts_with("psql:") {
                true => format!("{}\n", self.first),
                false => String::new(),
            };
        };
        let mut told = format!("{place}{text}\n");
        let is_detail = |line: &&&str| line.starts_with("DETAIL:  ") || line.starts_with("HINT:  ");
        for line in self.rest.iter().filter(is_detail) {
            told.push_str(&format!("{line}\n"));
        }
        told
    }

    /// Severity and SQLSTATE of a line that is as psql writes it.
    fn severity(&self) -> Option<(&str, &str)> {
        let (line, rest) = self.first.strip_prefix("psql:<stdin>:")?.split_once(": ")?;
        let (severity, rest) = rest.split_once(":  ")?;
        let (code, _) = rest.split_once(": ")?;
        let is_severity = matches!(
            severity,
            "ERROR" | "FATAL" | "PANIC" | "WARNING" | "NOTICE" | "INFO" | "LOG" | "DEBUG"
        );
        (is_severity && line.bytes().all(|byte| byte.is_ascii_digit())).then_some((severity, code))
    }

    fn parts(&self) -> Option<(&str, &str, &str)> {
        let severity = self.first.find(":  ")? + 3;
        let (place, rest) = self.first.split_at(severity);
        let (code, text) = rest.split_once(": ")?;
        let is_code = code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        (place.starts_with("psql:") && is_code).then_some((place, code, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIDDEN: &str = "without its words, which may be of rows\n";

    /// A report in a bucket held the row that a constraint refused, and values in messages about names.
    #[test]
    fn no_row_is_in_what_a_drill_passes_on() {
        for (said, told) in [
            (
                "psql:<stdin>:9: ERROR:  23514: new row for relation \"ssn\" violates check constraint \"c\"\n\
                 DETAIL:  Failing row contains (078-05-1120, Secret).\nCONTEXT:  COPY ssn, line 1: \"078-05-1120 Secret\"\n\
                 SCHEMA NAME:  public\nLOCATION:  ExecConstraints, execMain.c:1\n",
                format!("psql:<stdin>: ERROR:  SQLSTATE 23514 (a row that a check refuses), {HIDDEN}"),
            ),
            (
                "psql:<stdin>:9: ERROR:  42704: role \"patient 078-05-1120\" does not exist\nCONTEXT:  COPY t, line 1, column who: \"x\"\n",
                format!("psql:<stdin>: ERROR:  SQLSTATE 42704 (an object that is not there), {HIDDEN}"),
            ),
            (
                "psql:<stdin>:9: ERROR:  22P02: invalid input syntax for type integer: \"{\"ssn\":\"078-05-1120\"}\"\n",
                format!("psql:<stdin>: ERROR:  SQLSTATE 22P02 (a value of another form), {HIDDEN}"),
            ),
            // Rows may hold whatever a server or psql writes.
            (
                "psql:<stdin>:9: ERROR:  22P02: invalid input syntax for type integer: \"078-05-1120\nLINE 1: 12 Elm Street\n    ^\n\
                 psql:<stdin>:1: ERROR:  42P01: relation \"078-05-1120\" does not exist\npsql:load.sql:3: ERROR:  078-05-1120\"\n",
                format!(
                    "psql:<stdin>: ERROR:  SQLSTATE 22P02 (a value of another form), {HIDDEN}\
                     psql:<stdin>: ERROR:  SQLSTATE 42P01 (a relation that is not there), {HIDDEN}"
                ),
            ),
            (
                "psql:<stdin>:9: WARNING:  01000: line 1: xmlns: URI 078-05-1120 is not absolute\n",
                format!("warnings, {HIDDEN}").replace("its", "their"),
            ),
            (
                "psql:<stdin>:9: WARNING:  55000: \"wal_level\" is insufficient\nLOCATION:  a, b.c:1\n",
                "a warning about a publication, for which wal_level is too low\n".to_owned(),
            ),
            (
                "psql:<stdin>:7: ERROR:  53100: could not extend file: No space left on device\n",
                format!("psql:<stdin>: ERROR:  SQLSTATE 53100 (a full disk), {HIDDEN}"),
            ),
            // Words of limits and states, of a time when no function is in its context any more, and codes of five letters.
            (
                "psql:<stdin>:9: WARNING:  07805: x\npsql:<stdin>:9: WARNING:  1120J: x\n\
                 psql:<stdin>:9: ERROR:  54000: requested character too large for encoding: 78051120\n",
                format!("psql:<stdin>: ERROR:  SQLSTATE 54000 (a limit of the program), {HIDDEN}warnings, {HIDDEN}")
                    .replace("warnings, without its", "warnings, without their"),
            ),
            // A message whose first line, with its number, and whose context somebody had taken out.
            ("psql:078-05-1120 John Smith\n", String::new()),
            (
                "psql:<stdin>:1: ERROR:  01000: 078-05-1120 John Smith\n",
                format!("psql:<stdin>: ERROR:  SQLSTATE of class 01, {HIDDEN}"),
            ),
        ] {
            assert_eq!(without_rows(said, true).as_str(), told);
        }
    }

    /// Whatever it makes its words look like.
    #[test]
    fn once_code_of_the_backup_has_spoken_only_codes_are_told() {
        let forged = "psql:<stdin>:7: WARNING:  01000: x\npsql:<stdin>:1: ERROR:  42P01: relation \"078-05-1120\" does not exist\n\
            CONTEXT:  PL/pgSQL function inline_code_block line 1 at RAISE\n\
            CONTEXT:  PL/pgSQL function public.f(text) line 3 at RAISE\nSQL statement \"ALTER\"\n\
            psql:<stdin>:9: ERROR:  P0001: 078-05-1120\n";
        let told = String::from(without_rows(forged, true));
        assert!(!told.contains("078-05-1120") && told.contains("SQLSTATE P0001"), "{told}");
    }

    /// A CHECK wrote lines that look like a message, and like the context of a COPY.
    #[test]
    fn of_a_line_that_looks_like_psqls_nothing_but_its_code_is_told() {
        let said = "psql:<stdin>:9: WARNING:  01000: x\npsql:<stdin>:9: 078-05-1120 John Smith ERROR:  42P01: y\n\
            psql:<stdin>:78051120: ERROR:  22P02: x\nCONTEXT:  COPY 078-05-1120 John Smith: y\n\
            psql:<stdin>:078-05-1120: ERROR:  22P02: x\n";
        let told = String::from(without_rows(said, true));
        assert!(!told.contains("078") && !told.contains("780") && !told.contains("John"), "{told}");
        assert!(told.contains("SQLSTATE 22P02"), "{told}");
    }

    #[test]
    fn before_there_are_rows_all_is_told() {
        let said = "psql:<stdin>:6: ERROR:  42883: operator does not exist: text public.% text\nLINE 3: WHERE x\n  ^\nHINT:  Add casts.\n\
            psql:<stdin>:3: ERROR:  42704: type \"public.hstore\" does not exist\nDETAIL:  x\nLOCATION:  a, b.c:1\n\
            psql: error: connection to server failed: FATAL:  no\n";
        assert_eq!(
            without_rows(said, false).as_str(),
            "psql:<stdin>:6: ERROR:  operator does not exist: text public.% text\nHINT:  Add casts.\n\
             psql:<stdin>:3: ERROR:  type \"public.hstore\" does not exist\nDETAIL:  x\n"
        );
    }

    #[test]
    fn rows_begin_at_the_first_copy_in_pieces_of_any_size() {
        let dump = b"CREATE TABLE t ();\n\nCOPY t FROM stdin;\n1\n\\.\nCOPY u FROM stdin;\n";
        for size in 1..dump.len() {
            let mut rows = RowsSeen::default();
            dump.chunks(size).for_each(|piece| rows.see(piece));
            assert!(rows.are_there(), "in pieces of {size}");
        }
        assert!(RowsSeen::before_all().are_there());
        let mut none = RowsSeen::default();
        none.see(b"CREATE TABLE t ();\n");
        assert!(!none.are_there());
    }
}
