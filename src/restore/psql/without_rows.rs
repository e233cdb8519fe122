//! What a drill passes on of a server's words: nothing of the rows. A drill's report may be left where others read it, and a
//! server quotes rows in its messages, as may whatever code of the backup raises an error or a warning.

/// Classes of SQLSTATE whose messages name objects, settings and files, never values: connection, features, missing databases
/// and schemas, authorization, names and syntax, resources, limits, states, operators, the system itself.
const OF_OBJECTS: &[&str] = &["08", "0A", "0L", "28", "2B", "3D", "3F", "42", "53", "54", "55", "57", "58", "XX"];
/// Values out of range or shape; and constraints, whose first line names only themselves.
const OF_VALUES: &str = "22";
const OF_CONSTRAINTS: &str = "23";
const UNTOLD: &str = "what it said may be of the rows, and is not told";

/// What psql wrote to stderr with `VERBOSITY` `verbose` and `SHOW_CONTEXT` `always`, as it would be without these, and
/// without anything that may be of rows.
pub(super) fn without_rows(said: &str) -> String {
    let messages = messages(said);
    // Code can write lines that look like a message of their own: once it has spoken, no words count.
    let has_code_spoken = messages.iter().any(|message| message.is_of_code());
    let mut told = String::new();
    for message in messages {
        told.push_str(&message.told(has_code_spoken));
    }
    told
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
            Some(message) if !line.starts_with("psql:") => message.rest.push(line),
            _ => messages.push(ServerMessage {
                first: line,
                rest: Vec::new(),
            }),
        }
    }
    messages
}

impl ServerMessage<'_> {
    /// A function of the backup, and not only a block of ours, stands in its context.
    fn is_of_code(&self) -> bool {
        let context = self.rest.iter().skip_while(|line| !line.starts_with("CONTEXT:  "));
        let mut lines = context.map(|line| line.strip_prefix("CONTEXT:  ").unwrap_or(line));
        lines.any(|line| {
            let is_ours = line.starts_with("PL/pgSQL function inline_code_block ");
            // Without these words it was only read.
            let has_run = line.contains(" statement ") || line.contains(" during ");
            let is_function = line.starts_with("PL/") || line.starts_with("Traceback") || (line.starts_with("SQL function ") && has_run);
            is_function && !is_ours
        })
    }

    fn told(&self, has_code_spoken: bool) -> String {
        // `psql:<stdin>:12: ERROR:  42883: …`; psql's own words have no code, and know no rows.
        let Some((place, code, text)) = self.parts() else {
            return match self.first.starts_with("psql:") {
                true => format!("{}\n", self.first),
                false => String::new(),
            };
        };
        if has_code_spoken {
            return format!("{place}SQLSTATE {code}: code of the backup has run: {UNTOLD}\n");
        }
        let class = code.get(..2).unwrap_or_default();
        let mut told = match class {
            OF_VALUES => format!("{place}{}\n", without_quoted(text)),
            OF_CONSTRAINTS => format!("{place}{text}\n"),
            // Warnings of the server about objects: `01007`. `01000` is anybody's.
            "01" if code != "01000" => format!("{place}{text}\n"),
            _ if OF_OBJECTS.contains(&class) => format!("{place}{text}\n"),
            _ if text.starts_with("the schema public keeps its owner: ") => format!("{place}{text}\n"),
            _ => format!("{place}SQLSTATE {code}: {UNTOLD}\n"),
        };
        for line in &self.rest {
            let is_told = OF_OBJECTS.contains(&class) && (line.starts_with("DETAIL:  ") || line.starts_with("HINT:  "));
            if is_told {
                told.push_str(&format!("{line}\n"));
            } else if let Some(copy) = line.strip_prefix("CONTEXT:  COPY ") {
                // `t, line 7, column c: "…"`.
                let place = copy.split(": ").next().unwrap_or_default();
                told.push_str(&format!("CONTEXT:  COPY {place}\n"));
            }
        }
        told
    }

    fn parts(&self) -> Option<(&str, &str, &str)> {
        let severity = self.first.find(":  ")? + 3;
        let (place, rest) = self.first.split_at(severity);
        let (code, text) = rest.split_once(": ")?;
        let is_code = code.len() == 5 && code.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
        (place.starts_with("psql:") && is_code).then_some((place, code, text))
    }
}

/// `invalid input syntax for type integer: "…"`.
fn without_quoted(text: &str) -> String {
    let mut told = String::new();
    for (place, piece) in text.split('"').enumerate() {
        match place % 2 {
            0 => told.push_str(piece),
            _ => told.push_str("\"...\""),
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report in a bucket held the row that a constraint refused.
    #[test]
    fn no_row_is_in_what_a_drill_passes_on() {
        for (said, told) in [
            (
                "psql:<stdin>:9: ERROR:  23514: new row for relation \"ssn\" violates check constraint \"c\"\n\
                 DETAIL:  Failing row contains (078-05-1120, Secret).\nCONTEXT:  COPY ssn, line 1: \"078-05-1120 Secret\"\n\
                 SCHEMA NAME:  public\nLOCATION:  ExecConstraints, execMain.c:1\n",
                "psql:<stdin>:9: ERROR:  new row for relation \"ssn\" violates check constraint \"c\"\nCONTEXT:  COPY ssn, line 1\n",
            ),
            (
                "psql:<stdin>:9: ERROR:  22P02: invalid input syntax for type integer: \"078-05-1120\"\n",
                "psql:<stdin>:9: ERROR:  invalid input syntax for type integer: \"...\"\n",
            ),
            (
                "psql:<stdin>:9: ERROR:  23505: could not create unique index \"i\"\nDETAIL:  Key (mail)=(a@b.c) is duplicated.\n",
                "psql:<stdin>:9: ERROR:  could not create unique index \"i\"\n",
            ),
            (
                "psql:<stdin>:66: ERROR:  42883: operator does not exist: text public.% text\nLINE 3: WHERE x\n  ^\nHINT:  Add casts.\n",
                "psql:<stdin>:66: ERROR:  operator does not exist: text public.% text\nHINT:  Add casts.\n",
            ),
            (
                "psql:<stdin>:7: WARNING:  01000: 078-05-1120\n",
                "psql:<stdin>:7: WARNING:  SQLSTATE 01000: what it said may be of the rows, and is not told\n",
            ),
            (
                "psql:<stdin>:7: WARNING:  01007: no privileges were granted for \"x\"\nLOCATION:  a, b.c:1\n",
                "psql:<stdin>:7: WARNING:  no privileges were granted for \"x\"\n",
            ),
            (
                "psql: error: connection to server failed: FATAL:  no\n",
                "psql: error: connection to server failed: FATAL:  no\n",
            ),
        ] {
            assert_eq!(without_rows(said), told);
        }
    }

    /// Whatever it makes its words look like.
    #[test]
    fn once_code_of_the_backup_has_spoken_only_codes_are_told() {
        let forged = "psql:<stdin>:7: WARNING:  01000: x\npsql:<stdin>:8: ERROR:  42P01: relation \"078-05-1120\" does not exist\n\
            CONTEXT:  PL/pgSQL function inline_code_block line 1 at RAISE\n\
            CONTEXT:  PL/pgSQL function public.f(text) line 3 at RAISE\nSQL statement \"ALTER\"\n\
            psql:<stdin>:9: ERROR:  P0001: 078-05-1120\n";
        let told = without_rows(forged);
        assert!(!told.contains("078-05-1120") && told.contains("SQLSTATE P0001"), "{told}");
    }

    #[test]
    fn a_block_of_ours_is_no_code_of_the_backup() {
        let said = "psql:<stdin>:7: ERROR:  42501: permission denied for schema s\n\
            CONTEXT:  SQL statement \"CREATE VIEW …\"\nPL/pgSQL function inline_code_block line 1 at EXECUTE\n";
        assert_eq!(without_rows(said), "psql:<stdin>:7: ERROR:  permission denied for schema s\n");
    }
}
