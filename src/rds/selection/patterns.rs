//! The patterns of psql and `pg_dump`, as regular expressions and as conditions in SQL.

use super::PatternField;
use crate::error::{Code, Error, Result};
use crate::format::names::DatabaseName;
use crate::format::sql;

/// SQL that holds of the table `c` in the schema `n`, or of the schema `n`, if the pattern means it.
pub(super) fn condition(kind: &PatternField, pattern: &str, database: &DatabaseName, path: &str) -> Result<String> {
    let improper = |why: &str| {
        Err(Error::field(
            Code::BadEvent,
            kind.field,
            format!("holds the pattern {pattern}, which {why}"),
        ))
    };
    let Expressions { parts, first, dots } = expressions(pattern, if kind.of_schemas { 1 } else { 3 });
    let is = |column: &str, expression: &str| {
        // An event may name thousands of tables: each regular expression would be held against each table.
        if let Some(name) = plain_name(expression) {
            return format!("{column} OPERATOR(pg_catalog.=) {}", sql::literal(name));
        }
        format!(
            "{column} OPERATOR(pg_catalog.~) {} COLLATE pg_catalog.\"default\"",
            sql::literal(expression)
        )
    };
    match (kind.of_schemas, dots, parts.as_slice()) {
        (true, 0, [name]) => Ok(is("n.nspname", name)),
        (true, ..) => improper("has a dot: give the schema's name alone, in double quotes if the name itself has a dot"),
        (false, 0, [name]) => Ok(format!(
            "({} AND pg_catalog.array_position({path}, c.relnamespace) IS NOT NULL AND NOT EXISTS (
                 SELECT FROM pg_catalog.pg_class o WHERE o.relname OPERATOR(pg_catalog.=) c.relname
                     AND pg_catalog.array_position({path}, o.relnamespace)
                         OPERATOR(pg_catalog.<) pg_catalog.array_position({path}, c.relnamespace)))",
            is("c.relname", name)
        )),
        (false, 2, [_, ..]) if first != database.as_str() => improper("names another database"),
        (false, 1 | 2, [.., schema, name]) => Ok(format!("({} AND {})", is("n.nspname", schema), is("c.relname", name))),
        _ => improper("has too many dots: put a name that has one in double quotes"),
    }
}

/// The one name that an expression means. A longer one than PostgreSQL's would be cut to fit.
fn plain_name(expression: &str) -> Option<&str> {
    let name = expression.strip_prefix("^(")?.strip_suffix(")$")?;
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_plain && !name.is_empty() && name.len() < 64).then_some(name)
}

/// What a pattern comes to.
#[derive(Debug, PartialEq, Eq)]
struct Expressions {
    /// Regular expressions of the name and what stands before it, the name last.
    parts: Vec<String>,
    /// The first part, taken literally: a database is named, never searched for.
    first: String,
    dots: usize,
}

/// As PostgreSQL's `patternToSQLRegex`, with up to so many parts.
fn expressions(pattern: &str, most: usize) -> Expressions {
    let (mut parts, mut first, mut dots) = (vec![String::from("^(")], String::new(), 0);
    let mut in_quotes = false;
    let mut rest = pattern.chars().peekable();
    while let Some(letter) = rest.next() {
        let is_full = parts.len() == most;
        let Some(part) = parts.last_mut() else { break };
        let plain = match letter {
            '"' if in_quotes && rest.peek() == Some(&'"') => {
                rest.next();
                part.push('"');
                '"'
            }
            '"' => {
                in_quotes = !in_quotes;
                continue;
            }
            // Only letters of ASCII, as in the locale C in which pg_dump runs.
            'A'..='Z' if !in_quotes => {
                part.push(letter.to_ascii_lowercase());
                letter.to_ascii_lowercase()
            }
            '*' if !in_quotes => {
                part.push_str(".*");
                letter
            }
            '?' if !in_quotes => {
                part.push('.');
                letter
            }
            '.' if !in_quotes => {
                dots += 1;
                if is_full {
                    part.push('.');
                } else {
                    part.push_str(")$");
                    parts.push(String::from("^("));
                }
                continue;
            }
            '$' => {
                part.push_str("\\$");
                letter
            }
            _ => {
                let is_special = in_quotes && "|*+?()[]{}.^$\\".contains(letter);
                if is_special || (letter == '[' && rest.peek() == Some(&']')) {
                    part.push('\\');
                }
                part.push(letter);
                letter
            }
        };
        if dots == 0 {
            first.push(plain);
        }
    }
    if let Some(part) = parts.last_mut() {
        part.push_str(")$");
    }
    Expressions { parts, first, dots }
}

#[cfg(test)]
mod tests {
    use super::super::KINDS;
    use super::*;

    #[test]
    fn a_name_without_a_pattern_is_compared_as_it_is() {
        for (pattern, name) in [
            ("orders", Some("orders")),
            ("\"Or_1\"", Some("Or_1")),
            ("o*", None),
            ("o.x", None),
            ("a|b", None),
            ("", None),
        ] {
            assert_eq!(plain_name(&expressions(pattern, 1).parts[0]), name, "{pattern}");
        }
        assert_eq!(plain_name(&format!("^({})$", "a".repeat(64))), None);
    }

    #[test]
    fn patterns_become_the_expressions_of_psql() {
        for (pattern, parts, first, dots) in [
            ("orders", &["^(orders)$"][..], "orders", 0),
            ("Orders", &["^(orders)$"], "orders", 0),
            ("\"Orders\"", &["^(Orders)$"], "Orders", 0),
            ("o*_?", &["^(o.*_.)$"], "o*_?", 0),
            ("\"o*_?\"", &["^(o\\*_\\?)$"], "o*_?", 0),
            ("s.t", &["^(s)$", "^(t)$"], "s", 1),
            ("\"s.t\"", &["^(s\\.t)$"], "s.t", 0),
            ("d.s.t", &["^(d)$", "^(s)$", "^(t)$"], "d", 2),
            ("a.b.c.d", &["^(a)$", "^(b)$", "^(c.d)$"], "a", 3),
            (".t", &["^()$", "^(t)$"], "", 1),
            ("a$b", &["^(a\\$b)$"], "a$b", 0),
            ("a|b", &["^(a|b)$"], "a|b", 0),
            ("\"a|b\"", &["^(a\\|b)$"], "a|b", 0),
            ("int[]", &["^(int\\[])$"], "int[]", 0),
            ("[a-c]x", &["^([a-c]x)$"], "[a-c]x", 0),
            ("\"say \"\"hi\"\"\"", &["^(say \"hi\")$"], "say \"hi\"", 0),
            ("Ä\"Ä\"", &["^(ÄÄ)$"], "ÄÄ", 0),
            ("a\\", &["^(a\\)$"], "a\\", 0),
            ("\"open", &["^(open)$"], "open", 0),
        ] {
            let parts = parts.iter().map(ToString::to_string).collect();
            let first = first.to_owned();
            assert_eq!(expressions(pattern, 3), Expressions { parts, first, dots }, "{pattern}");
        }
    }

    #[test]
    fn what_pg_dump_would_refuse_is_refused_before() {
        let database = DatabaseName::new("app").unwrap();
        for (kind, pattern, wrong) in [
            (0, "other.public.t", "another database"),
            (0, "app.public.t", ""),
            (0, "a.b.c.d", "too many dots"),
            (3, "app.public", "has a dot"),
            (3, "\"a.b\"", ""),
        ] {
            match (condition(&KINDS[kind], pattern, &database, "path"), wrong) {
                (Ok(_), "") => {}
                (Err(error), wrong) if !wrong.is_empty() => {
                    assert_eq!(error.code, Code::BadEvent);
                    assert!(error.message.contains(wrong), "{error}");
                }
                (outcome, _) => panic!("{pattern}: {outcome:?}"),
            }
        }
    }
}
