//! What belongs to the database itself, applied after its dump: settings, comment, privileges, owner. Each statement by
//! itself, so that one that fails (no such role, no such parameter on this server) costs itself alone, and is told.

use super::psql::{PsqlTarget, ReportText};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::format::database_properties::{DatabaseProperties, Privilege, Settings};
use crate::format::sql::{identifier, literal};
use std::collections::BTreeSet;

/// Parameters whose value is a list of names: each in quotes of its own (PostgreSQL's `GUC_LIST_QUOTE`).
const LISTS: &[&str] = &[
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// Which of them are wanted.
#[derive(Clone, Copy, Debug)]
pub struct PropertyChoice {
    pub owner: bool,
    pub privileges: bool,
    /// Settings of roles in this database; their roles must be there.
    pub roles: bool,
}

/// One statement, and what it is for.
#[derive(Debug, PartialEq, Eq)]
struct RestoreStep {
    what: String,
    sql: String,
}

/// Applies them to the database that `target` names. What could not be applied is in the answer, never an error: the dump
/// is in by then.
pub fn apply(properties: &DatabaseProperties, wanted: PropertyChoice, target: &PsqlTarget, cancel: &Cancel) -> Result<Vec<ReportText>> {
    try_apply(properties, wanted, target, cancel).or_else(|error| {
        cancel.check()?;
        let missing =
            "owner, settings, comment, connection limit and privileges of the database itself were not applied, or not all of them";
        Ok(vec![ReportText::ours(format!("{missing}: {}", error.message))])
    })
}

fn try_apply(properties: &DatabaseProperties, wanted: PropertyChoice, target: &PsqlTarget, cancel: &Cancel) -> Result<Vec<ReportText>> {
    let Some(database) = target.conninfo.dbname() else {
        return Ok(Vec::new());
    };
    let roles = existing_among(named(properties), target, cancel)?;
    let (steps, warnings) = steps(properties, database, &roles, wanted);
    let mut warnings: Vec<ReportText> = warnings.into_iter().map(ReportText::ours).collect();
    if steps.is_empty() {
        return Ok(warnings);
    }
    let statements: Vec<&str> = steps.iter().map(|step| &*step.sql).collect();
    for (step, refusal) in steps.iter().zip(target.try_statements(&statements, cancel)?) {
        if let Some(refusal) = refusal {
            warnings.push(ReportText::ours(format!("{} was not applied: {}", step.what, refusal.message)));
        }
    }
    Ok(warnings)
}

/// Every role that a statement would need.
fn named(properties: &DatabaseProperties) -> BTreeSet<String> {
    let privileges = properties.privileges.iter().flatten();
    let of_privileges = privileges.flat_map(|privilege| std::iter::once(&privilege.grantor).chain(&privilege.grantee));
    let roles = properties.owner.iter().chain(properties.role_settings.keys()).chain(of_privileges);
    roles.cloned().collect()
}

/// Those of them that the server has. It is asked for each by its name: other roles of a server can have names that are no
/// text in this database.
pub(super) fn existing_among(roles: BTreeSet<String>, target: &PsqlTarget, cancel: &Cancel) -> Result<BTreeSet<String>> {
    let question = |role: &String| {
        format!(
            "SELECT WHERE pg_catalog.pg_has_role({}::pg_catalog.name, 'USAGE') IS NULL",
            literal(role)
        )
    };
    let questions: Vec<String> = roles.iter().map(question).collect();
    let questions: Vec<&str> = questions.iter().map(String::as_str).collect();
    let answers = target.try_statements(&questions, cancel)?;
    Ok(roles
        .into_iter()
        .zip(answers)
        .filter_map(|(role, refusal)| refusal.is_none().then_some(role))
        .collect())
}

fn steps(
    properties: &DatabaseProperties,
    database: &str,
    roles: &BTreeSet<String>,
    wanted: PropertyChoice,
) -> (Vec<RestoreStep>, Vec<String>) {
    let (mut steps, mut warnings) = (Vec::new(), Vec::new());
    let name = identifier(database);
    if !properties.unreadable.is_empty() {
        warnings.push(format!(
            "these of the source's database were no text in its encoding, and are not in this backup, or not all of them: {}; set them by hand",
            properties.unreadable.join(", ")
        ));
    }
    let mut add = |what: String, sql: String| steps.push(RestoreStep { what, sql });
    set(&mut add, &format!("ALTER DATABASE {name}"), "of the database", &properties.settings);
    if wanted.roles {
        for (role, settings) in &properties.role_settings {
            if roles.contains(role) {
                let head = format!("ALTER ROLE {} IN DATABASE {name}", identifier(role));
                set(&mut add, &head, &format!("of the role {role} in this database"), settings);
            } else {
                warnings.push(format!(
                    "the settings of the role {role} in this database were not applied: there is no such role"
                ));
            }
        }
    }
    if let Some(comment) = &properties.comment {
        add(
            "the comment".to_owned(),
            format!("COMMENT ON DATABASE {name} IS {}", literal(comment)),
        );
    }
    if let Some(limit) = properties.connection_limit.filter(|limit| *limit >= 0) {
        add(
            "the connection limit".to_owned(),
            format!("ALTER DATABASE {name} CONNECTION LIMIT {limit}"),
        );
    }
    if let Some(owner) = properties.owner.as_ref().filter(|_| wanted.owner) {
        if roles.contains(owner) {
            add(
                "the owner".to_owned(),
                format!("ALTER DATABASE {name} OWNER TO {}", identifier(owner)),
            );
        } else {
            warnings.push(format!("the owner {owner} was not applied: there is no such role"));
        }
    }
    if let Some(privileges) = properties.privileges.as_ref().filter(|_| wanted.privileges) {
        let owner = properties.owner.as_deref().filter(|owner| roles.contains(*owner));
        grant(&mut add, &mut warnings, &name, owner, privileges, roles);
    }
    if let Some(tablespace) = properties.tablespace.as_ref().filter(|name| *name != "pg_default") {
        warnings.push(format!(
            "the source's tablespace {tablespace} was not used: the database is in the server's default one"
        ));
    }
    (steps, warnings)
}

fn set(add: &mut impl FnMut(String, String), head: &str, whose: &str, settings: &Settings) {
    for (parameter, value) in settings.iter() {
        let value = if LISTS.contains(&parameter) {
            let elements = elements(value);
            let literals: Vec<_> = elements.iter().map(|element| literal(element)).collect();
            match literals.is_empty() {
                // As `SET … FROM CURRENT` leaves it: the server takes an empty name for an empty list.
                true => "''".to_owned(),
                false => literals.join(", "),
            }
        } else {
            literal(value)
        };
        add(
            format!("the setting {parameter} {whose}"),
            format!("{head} SET {} TO {value}", identifier(parameter)),
        );
    }
}

/// From nothing: what the server gives by default may be what was revoked.
fn grant(
    add: &mut impl FnMut(String, String),
    warnings: &mut Vec<String>,
    database: &str,
    owner: Option<&str>,
    privileges: &[Privilege],
    roles: &BTreeSet<String>,
) {
    add(
        "what PUBLIC may not do".to_owned(),
        format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC"),
    );
    if let Some(owner) = owner {
        let sql = format!("REVOKE ALL ON DATABASE {database} FROM {}", identifier(owner));
        add("what the owner may not do".to_owned(), sql);
    }
    let mut missing = BTreeSet::new();
    for privilege in privileges {
        let Privilege {
            grantor,
            grantee,
            privilege,
            grantable,
        } = privilege;
        let to = match grantee {
            None => "PUBLIC".to_owned(),
            Some(role) if roles.contains(role) => identifier(role),
            Some(role) => {
                missing.insert(role);
                continue;
            }
        };
        // A word of PostgreSQL's, not a name: anything else would stand in the statement as it is.
        if !matches!(&**privilege, "CONNECT" | "CREATE" | "TEMPORARY") {
            warnings.push(format!(
                "the privilege {privilege} does not exist for databases, and was not applied"
            ));
            continue;
        }
        let option = if *grantable { " WITH GRANT OPTION" } else { "" };
        let sql = format!("GRANT {privilege} ON DATABASE {database} TO {to}{option}");
        let what = format!("the privilege {privilege} of {}", grantee.as_deref().unwrap_or("PUBLIC"));
        // As pg_dump does: a right that somebody handed on is theirs to take back.
        if owner.is_some_and(|owner| owner != grantor) && roles.contains(grantor) {
            add(what.clone(), format!("SET SESSION AUTHORIZATION {}", identifier(grantor)));
            add(what.clone(), sql);
            add(what, "RESET SESSION AUTHORIZATION".to_owned());
        } else {
            add(what, sql);
        }
    }
    for role in missing {
        warnings.push(format!(
            "the privileges of {role} at the database were not applied: there is no such role"
        ));
    }
}

/// The names of a list as the catalog holds it: `a, "B c", ""`.
fn elements(list: &str) -> Vec<String> {
    let (mut elements, mut rest) = (Vec::new(), list.trim());
    while !rest.is_empty() {
        let mut element = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut letters = quoted.char_indices().peekable();
            let mut end = quoted.len();
            while let Some((at, letter)) = letters.next() {
                match letter {
                    '"' if letters.peek().is_some_and(|(_, next)| *next == '"') => {
                        letters.next();
                        element.push('"');
                    }
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    _ => element.push(letter),
                }
            }
            rest = &quoted[end..];
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            element.push_str(rest[..end].trim());
            rest = &rest[end..];
        }
        elements.push(element);
        let Some(more) = rest.trim_start().strip_prefix(',') else { break };
        rest = more.trim_start();
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: PropertyChoice = PropertyChoice {
        owner: true,
        privileges: true,
        roles: true,
    };

    fn told(properties: &DatabaseProperties, wanted: PropertyChoice, roles: &[&str]) -> (Vec<String>, Vec<String>) {
        let roles = roles.iter().map(ToString::to_string).collect();
        let (steps, warnings) = steps(properties, "a\"b", &roles, wanted);
        (steps.into_iter().map(|step| step.sql).collect(), warnings)
    }

    #[test]
    fn lists_are_taken_apart_and_nothing_else_is() {
        for (list, names) in [
            ("app, public", &["app", "public"][..]),
            ("\"$user\", public", &["$user", "public"]),
            ("\"A, \"\"b\"\"\",c", &["A, \"b\"", "c"]),
            ("\"\"", &[""]),
            ("", &[]),
        ] {
            assert_eq!(elements(list), names, "{list}");
        }
    }

    #[test]
    fn settings_are_quoted_whatever_they_hold() {
        let properties = DatabaseProperties {
            settings: [
                ("search_path", "\"$user\", app"),
                ("my.text", "it's; \\! id"),
                ("TimeZone", "Asia/Tokyo"),
                // What `SET … FROM CURRENT` leaves of a path without a schema. It was lost.
                ("temp_tablespaces", ""),
            ]
            .into_iter()
            .collect(),
            role_settings: [("r", "v"), ("gone", "v")]
                .map(|(role, value)| (role.to_owned(), Settings::from_iter([("x", value)])))
                .into(),
            comment: Some("it's \\ all".to_owned()),
            connection_limit: Some(5),
            ..DatabaseProperties::default()
        };
        let (sql, warnings) = told(&properties, ALL, &["r"]);
        assert_eq!(
            sql,
            [
                "ALTER DATABASE \"a\"\"b\" SET \"search_path\" TO E'$user', E'app'",
                "ALTER DATABASE \"a\"\"b\" SET \"my.text\" TO E'it''s; \\\\! id'",
                "ALTER DATABASE \"a\"\"b\" SET \"TimeZone\" TO E'Asia/Tokyo'",
                "ALTER DATABASE \"a\"\"b\" SET \"temp_tablespaces\" TO ''",
                "ALTER ROLE \"r\" IN DATABASE \"a\"\"b\" SET \"x\" TO E'v'",
                "COMMENT ON DATABASE \"a\"\"b\" IS E'it''s \\\\ all'",
                "ALTER DATABASE \"a\"\"b\" CONNECTION LIMIT 5",
            ]
        );
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("gone"));
    }

    #[test]
    fn privileges_begin_from_nothing_and_keep_who_gave_them() {
        let privilege = |grantor: &str, grantee: Option<&str>, privilege: &str, grantable| Privilege {
            grantor: grantor.to_owned(),
            grantee: grantee.map(str::to_owned),
            privilege: privilege.to_owned(),
            grantable,
        };
        let properties = DatabaseProperties {
            owner: Some("o".to_owned()),
            privileges: Some(vec![
                privilege("o", None, "TEMPORARY", false),
                privilege("o", Some("a"), "CONNECT", true),
                privilege("a", Some("b"), "CONNECT", false),
                privilege("o", Some("gone"), "CONNECT", false),
                privilege("o", Some("a"), "ALL; DROP", false),
            ]),
            ..DatabaseProperties::default()
        };
        let (sql, warnings) = told(&properties, ALL, &["o", "a", "b"]);
        assert_eq!(
            sql,
            [
                "ALTER DATABASE \"a\"\"b\" OWNER TO \"o\"",
                "REVOKE ALL ON DATABASE \"a\"\"b\" FROM PUBLIC",
                "REVOKE ALL ON DATABASE \"a\"\"b\" FROM \"o\"",
                "GRANT TEMPORARY ON DATABASE \"a\"\"b\" TO PUBLIC",
                "GRANT CONNECT ON DATABASE \"a\"\"b\" TO \"a\" WITH GRANT OPTION",
                "SET SESSION AUTHORIZATION \"a\"",
                "GRANT CONNECT ON DATABASE \"a\"\"b\" TO \"b\"",
                "RESET SESSION AUTHORIZATION",
            ]
        );
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        let none = PropertyChoice {
            owner: false,
            privileges: false,
            roles: false,
        };
        assert_eq!(told(&properties, none, &["o"]), (vec![], vec![]));
    }
}
