//! What is asked of a database that holds other people's code. Every question goes through here: it finds nothing that they
//! made, and changes nothing.

use super::failure::failure;
use super::trial_reports::random_word;
use super::{ANSWER, PATH, PsqlTarget};
use crate::cancel::Cancel;
use crate::error::{Code, Error, Result};
use crate::format::unhex_all;
use crate::process::output::LineFilter;
use crate::process::writer::OutputWanted;
use crate::rds::session;
use serde::de::DeserializeOwned;

impl PsqlTarget {
    /// Runs a query that only looks, and gives what it prints: a row a line, columns parted by `|`. Its words find nothing
    /// but the catalog's, wherever others put functions, operators and casts of the same names: see `unqualified`.
    pub(crate) fn query(&self, sql: &str, cancel: &Cancel) -> Result<String> {
        self.look_bytes(sql.as_bytes(), cancel)
    }

    /// The same for SQL with names that are no UTF-8, which must say so itself by `SET client_encoding`.
    pub(crate) fn look_bytes(&self, sql: &[u8], cancel: &Cancel) -> Result<String> {
        debug_assert_eq!(unqualified(&String::from_utf8_lossy(sql)), None);
        let answer = self.output(&[b"SET default_transaction_read_only TO on;\n", sql].concat(), cancel)?;
        let answer = String::from_utf8(answer);
        let answer = answer.map_err(|_| Error::new(Code::RestoreFailed, "psql answered in another encoding than UTF-8"))?;
        Ok(answer.trim_end_matches('\n').to_owned())
    }

    /// Asks several questions, each with a number for an answer, in one session. Code that runs in a question (an index's, when
    /// the server plans it) can have psql print lines of its own, as notifications: each answer stands alone between lines that
    /// the server never saw, or there is none. `before`: settings.
    pub(crate) fn numbers(&self, before: &[u8], questions: &[Vec<u8>], cancel: &Cancel) -> Result<Vec<u64>> {
        let mark = random_word()?;
        let mut sql = [before, format!("\\echo {mark}\n").as_bytes()].concat();
        for question in questions {
            sql.extend_from_slice(question);
            sql.extend_from_slice(format!(";\n\\echo {mark}\n").as_bytes());
        }
        let answer = self.look_bytes(&sql, cancel)?;
        let mut answers = answer.split(&*mark).skip(1).map(str::trim);
        let numbers: Option<Vec<u64>> = answers.by_ref().take(questions.len()).map(|answer| answer.parse().ok()).collect();
        let disturbed = || {
            Error::new(
                Code::RestoreFailed,
                "what was counted is unknown: code of the backup printed something in between",
            )
        };
        let numbers = numbers.filter(|numbers| numbers.len() == questions.len());
        numbers.filter(|_| answers.eq([""])).ok_or_else(disturbed)
    }

    /// Runs a script under the settings of this target, and hands its output on as it comes.
    pub(in crate::restore) fn stream(&self, script: &[u8], reader: Box<dyn LineFilter + Send>, cancel: &Cancel) -> Result<()> {
        let mut command = self.command()?;
        command.args(["--no-align", "--tuples-only"]);
        let mut child = self.start(command, OutputWanted::Bytes(ANSWER), cancel)?;
        child.filter_stdout(reader);
        child.write(PATH)?;
        child.write(self.settings.as_bytes())?;
        child.write(script)?;
        let status = child.finish()?;
        if status.success() {
            Ok(())
        } else {
            Err(failure(&self.told(&child.stderr_text(), true), status))
        }
    }

    /// The same for one whose only column and row is JSON. It travels as hexadecimal digits: names need be no UTF-8, nor
    /// text that has a place there.
    pub(crate) fn json<T: DeserializeOwned>(&self, sql: &str, cancel: &Cancel) -> Result<T> {
        // Not `::text`: that would run a cast that somebody made.
        let text = format!("pg_catalog.format('%s', ({}))", sql.trim().trim_end_matches(';'));
        let ask = |expression: String| self.query(&format!("SELECT {expression};"), cancel);
        let answer = match ask(session::name(&text)) {
            // The server's own words, unlike those of a psql that did not reach it.
            Err(error) if error.message.contains(" ERROR: ") => ask(session::hex(&text))?,
            answer => answer?,
        };
        let answer = unhex_all(&answer).ok_or_else(|| Error::new(Code::RestoreFailed, "psql's answer is not hexadecimal"))?;
        let answer = String::from_utf8_lossy(&answer);
        serde_json::from_str(&answer).map_err(|error| Error::new(Code::RestoreFailed, format!("psql's answer is no JSON: {error}")))
    }
}

/// Words that may stand before a parenthesis and are no functions.
const WORDS: &[&str] = &[
    "all", "and", "any", "array", "as", "by", "case", "coalesce", "else", "exists", "filter", "from", "join", "lateral", "not", "on",
    "only", "operator", "or", "over", "row", "select", "then", "values", "when", "where", "with",
];
/// Those that look for an operator by its name, and have no place to say where.
const SEARCHING: &[&str] = &[
    "between", "distinct", "ilike", "in", "like", "natural", "nullif", "similar", "using",
];

/// The first word of a query that the server would look for in the search path: an operator, a function, a type, a relation.
pub(super) fn unqualified(sql: &str) -> Option<String> {
    let tokens = tokens(sql);
    let at = |index: usize| tokens.get(index).copied().unwrap_or_default();
    for index in 0..tokens.len() {
        let (token, next) = (at(index), at(index + 1));
        let before = |back: usize| index.checked_sub(back).map_or("", at);
        let lower = token.to_ascii_lowercase();
        let in_catalog = before(1) == "." && before(2) == "pg_catalog";
        let is_word = token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let is_fine = if token.starts_with(|c: char| "+-*/<>=~!@#%^&|`?".contains(c)) {
            in_catalog && before(3) == "(" && before(4).eq_ignore_ascii_case("operator")
                || (token == "*" && (before(1) == "(" && next == ")" || before(1) == "."))
        } else if matches!(before(1), "::") || before(1).eq_ignore_ascii_case("collate") {
            token == "pg_catalog"
        } else if !is_word {
            true
        } else if SEARCHING.contains(&&*lower) || (lower == "case" && !next.eq_ignore_ascii_case("when")) {
            false
        } else if lower.starts_with("pg_") && lower != "pg_temp" {
            in_catalog || next == "." || before(1) == "."
        } else if next == "(" {
            // Of a `WITH`, or of a `FROM` with its columns, are names of ours: `name(column)`.
            in_catalog || (before(1) != "." && WORDS.contains(&&*lower))
        } else {
            true
        };
        if !is_fine {
            return Some(token.to_owned());
        }
    }
    None
}

/// Literals are gone, and names in quotes are one token.
fn tokens(sql: &str) -> Vec<&str> {
    let (mut tokens, mut rest) = (Vec::new(), sql);
    let is_in_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    while let Some(first) = rest.chars().next() {
        let length = if first == '\'' || rest.starts_with("E'") {
            rest = behind_literal(rest);
            continue;
        } else if first == '"' {
            rest[1..].find('"').map_or(rest.len(), |end| end + 2)
        } else if first.is_ascii_alphabetic() || first == '_' {
            rest.find(|c| !is_in_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else if "+-*/<>=~!@#%^&|`?".contains(first) {
            rest.find(|c| !"+-*/<>=~!@#%^&|`?".contains(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, behind) = rest.split_at(length);
        if !token.trim().is_empty() {
            tokens.push(token);
        }
        rest = behind;
    }
    tokens
}

/// What follows a literal, in which a doubled quote is one of its own.
fn behind_literal(sql: &str) -> &str {
    let is_escaped = sql.starts_with('E');
    let mut rest = sql.split_once('\'').map_or("", |(_, rest)| rest);
    while let Some(at) = rest.find(|c| c == '\'' || (is_escaped && c == '\\')) {
        let behind = &rest[at + 1..];
        if rest[at..].starts_with('\'') && !behind.starts_with('\'') {
            return behind;
        }
        rest = behind.get(1..).unwrap_or_default();
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_search_path_decides_is_found() {
        for (sql, found) in [
            ("SELECT 1; SHOW server_version", None),
            ("SET row_security TO off", None),
            ("SELECT a.*, b * 2", Some("*")),
            ("SELECT pg_catalog.count(*) FROM ONLY \"a=b\".\"f(\"\"x)\"", None),
            ("SELECT count(*) FROM x", Some("count")),
            ("SELECT public.count(*) FROM x", Some("count")),
            ("SELECT a OPERATOR(pg_catalog.=) b, E'it''s \\' =' , 'a = b'", None),
            ("SELECT a OPERATOR(public.=) b", Some("=")),
            ("SELECT a = b", Some("=")),
            ("SELECT coalesce(a, pg_catalog.now())", None),
            ("SELECT a FROM pg_class", Some("pg_class")),
            ("SELECT c.a FROM pg_catalog.pg_class c WHERE c.pg_x", None),
            ("SELECT a::text", Some("text")),
            ("SELECT a::pg_catalog.text", None),
            ("SELECT a IN (1)", Some("IN")),
            ("SELECT CASE a WHEN 1 THEN 2 END", Some("CASE")),
            ("SELECT CASE WHEN a THEN 2 END ORDER BY x COLLATE \"C\"", Some("\"C\"")),
            ("SELECT a FROM b JOIN c USING (d)", Some("USING")),
        ] {
            assert_eq!(unqualified(sql).as_deref(), found, "{sql}");
        }
    }
}
