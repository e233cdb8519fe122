//! What a SQLSTATE means, for reports that hold none of a server's words. Code of a backup can raise an error with any five
//! letters, those of a row too: only those of this list are told, of others the class at most.
//!
//! Source: PostgreSQL's documentation, appendix A.

const NAMES: &[(&str, &str)] = &[
    ("0A000", "what this server does not support"),
    ("21000", "more rows than one"),
    ("22001", "a text that is too long"),
    ("22003", "a number out of range"),
    ("22007", "a date or time of another form"),
    ("22008", "a date or time out of range"),
    ("22012", "a division by zero"),
    ("22021", "a text that is not in the encoding"),
    ("22023", "a parameter's value that does not fit"),
    ("22P02", "a value of another form"),
    ("22P04", "rows of another form"),
    ("22P05", "a character without a place in the encoding"),
    ("23502", "a null where none may be"),
    ("23503", "a row without the one that it refers to"),
    ("23505", "two rows where one may be"),
    ("23514", "a row that a check refuses"),
    ("23P01", "a row that excludes another"),
    ("25006", "a transaction that may only read"),
    ("2BP01", "an object that others depend on"),
    ("2D000", "a transaction that may not end there"),
    ("3D000", "a database that is not there"),
    ("3F000", "a schema that is not there"),
    ("42501", "no permission"),
    ("42601", "a syntax error"),
    ("42602", "a name of another form"),
    ("42701", "a column that is there already"),
    ("42703", "a column that is not there"),
    ("42704", "an object that is not there"),
    ("42710", "an object that is there already"),
    ("42723", "a function that is there already"),
    ("42725", "more than one function of that name"),
    ("42804", "another type than expected"),
    ("42809", "another kind of object than expected"),
    ("42830", "a foreign key that does not fit"),
    ("42846", "a type that cannot be cast"),
    ("42883", "a function or operator that is not there"),
    ("42P01", "a relation that is not there"),
    ("42P07", "a relation that is there already"),
    ("42P16", "a definition of a table that does not fit"),
    ("42P17", "a definition of an object that does not fit"),
    ("42P22", "no collation"),
    ("53100", "a full disk"),
    ("53200", "no memory"),
    ("53300", "too many connections"),
    ("54000", "a limit of the program"),
    ("54001", "statements that are nested too deeply"),
    ("55000", "an object that is not in the state for it"),
    ("55006", "an object in use"),
    ("57014", "a statement that was cancelled"),
    ("57P01", "a server that was shut down"),
    ("57P02", "a server that crashed"),
    ("58030", "an error of the disk"),
    ("58P01", "a file that is not there"),
    ("P0001", "an error that a function raised"),
    ("XX000", "an internal error"),
    ("XX001", "damaged data"),
    ("XX002", "a damaged index"),
];

const CLASSES: &[&str] = &[
    "01", "08", "0A", "0Z", "21", "22", "23", "25", "2B", "2D", "2F", "34", "38", "39", "3D", "3F", "40", "42", "53", "54", "55", "57",
    "58", "HV", "P0", "XX",
];

/// Such as `SQLSTATE 53100 (a full disk)`.
pub(in crate::restore) fn in_words(code: &str) -> String {
    if let Some((code, name)) = NAMES.iter().find(|(known, _)| *known == code) {
        return format!("SQLSTATE {code} ({name})");
    }
    match CLASSES.iter().find(|class| code.len() == 5 && code.starts_with(**class)) {
        Some(class) => format!("SQLSTATE of class {class}"),
        None => "a SQLSTATE that is not PostgreSQL's".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five letters of a row stood in a report.
    #[test]
    fn only_codes_of_the_list_are_told() {
        for (code, told) in [
            ("53100", "SQLSTATE 53100 (a full disk)"),
            ("23A11", "SQLSTATE of class 23"),
            ("07805", "a SQLSTATE that is not PostgreSQL's"),
            ("OHNSM", "a SQLSTATE that is not PostgreSQL's"),
            ("", "a SQLSTATE that is not PostgreSQL's"),
        ] {
            assert_eq!(in_words(code), told);
        }
    }
}
