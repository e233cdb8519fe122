//! What belongs to the database itself: asked before the dump starts, sealed in the inventory, and never a reason for a
//! backup to fail. What `pg_dump` leaves out without a word is asked here too.

mod collations;
mod extension_tables;
mod foreign_members;
mod member_tables;
mod money;
mod roles;
mod shared_texts;

use super::preflight::{self, NameSample};
use super::selection::DumpSelection;
use super::session::{self, AdvisoryRows, Session};
use crate::error::Result;
use crate::format::database_properties::{DatabaseProperties, Settings, VALUE_SETTINGS, dump_encoding};
use crate::format::inventory::TableRows;
use crate::format::order::Selection;
use crate::format::sql;
use crate::format::table_name::TableName;
use money::Amounts;
use roles::ROLES;
use shared_texts::SharedTexts;
use std::collections::HashMap;

/// User mappings and labels that a warning names.
const NAMED: usize = 5;

/// The properties, and what a user should know of them.
#[derive(Clone, Debug, Default)]
pub struct PropertiesAnswer {
    pub properties: DatabaseProperties,
    /// Names of tables and schemas in the dump's own encoding, and in UTF-8: where these differ.
    pub names: EncodedNames,
    pub warnings: Vec<String>,
    amounts: Option<Amounts>,
}

/// As one JSON, since each major has other columns: what a major lacks is null.
const PROPERTIES: &str = "pg_catalog.json_build_object(
    'database_oid', d.oid::pg_catalog.int8,
    'encoding', pg_catalog.pg_encoding_to_char(d.encoding),
    'collation', r.j OPERATOR(pg_catalog.->>) 'datcollate',
    'ctype', r.j OPERATOR(pg_catalog.->>) 'datctype',
    'locale_provider', r.j OPERATOR(pg_catalog.->>) 'datlocprovider',
    'locale', coalesce(r.j OPERATOR(pg_catalog.->>) 'datlocale', r.j OPERATOR(pg_catalog.->>) 'daticulocale'),
    'icu_rules', r.j OPERATOR(pg_catalog.->>) 'daticurules',
    'collation_version', r.j OPERATOR(pg_catalog.->>) 'datcollversion',
    'owner', pg_catalog.pg_get_userbyid(d.datdba),
    'tablespace', (SELECT t.spcname FROM pg_catalog.pg_tablespace t WHERE t.oid OPERATOR(pg_catalog.=) d.dattablespace),
    'connection_limit', d.datconnlimit,
    'settings', coalesce((SELECT pg_catalog.json_agg(u.e ORDER BY u.place)
        FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) WITH ORDINALITY u(e, place) WHERE s.setdatabase OPERATOR(pg_catalog.=) d.oid AND s.setrole OPERATOR(pg_catalog.=) 0), '[]'),
    'role_settings', coalesce((SELECT pg_catalog.json_agg(pg_catalog.json_build_object('role', pg_catalog.pg_get_userbyid(s.setrole), 'settings', s.setconfig))
        FROM pg_catalog.pg_db_role_setting s WHERE s.setdatabase OPERATOR(pg_catalog.=) d.oid AND s.setrole OPERATOR(pg_catalog.<>) 0 AND s.setconfig IS NOT NULL), '[]'),
    'comment', pg_catalog.shobj_description(d.oid, 'pg_database'),
    'privileges', CASE WHEN d.datacl IS NOT NULL THEN (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
            'grantor', pg_catalog.pg_get_userbyid(a.grantor),
            'grantee', CASE WHEN a.grantee OPERATOR(pg_catalog.<>) 0 THEN pg_catalog.pg_get_userbyid(a.grantee) END,
            'privilege', a.privilege_type, 'grantable', a.is_grantable)), '[]') FROM pg_catalog.aclexplode(d.datacl) a) END,
    'roles', ";

const FROM: &str = "FROM pg_catalog.pg_database d CROSS JOIN LATERAL (SELECT pg_catalog.row_to_json(d) AS j) r
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()";

/// The view hides the options of others from all but superusers; a mapping that has none looks the same.
const HIDDEN_OPTIONS: &str = "
FROM pg_catalog.pg_user_mappings m
WHERE m.umoptions IS NULL AND NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) current_user)";

/// Those of extensions come with them.
const FOREIGN_TABLES: &str = "
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE c.relkind OPERATOR(pg_catalog.=) 'f' AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) c.oid
      AND d.deptype OPERATOR(pg_catalog.=) 'e')";

/// Labels of the database itself: those of its objects are in the dump.
const LABELS: &str = "
SELECT pg_catalog.count(*) FROM pg_catalog.pg_shseclabel l JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) l.objoid
WHERE l.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_database'::pg_catalog.regclass AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()";

/// Asks for all of it. Where tables or schemas are chosen, the dump holds no extension.
pub async fn ask(session: &Session<'_>, selection: &Selection) -> Result<PropertiesAnswer> {
    let mut answer = PropertiesAnswer::default();
    let query = |roles: &str| format!("SELECT {} {FROM}", session::hex(&format!("{PROPERTIES}{roles})")));
    let mut told = session.advice(&query(ROLES)).await?;
    if let AdvisoryRows::Refused(why) = &told {
        // Of more catalogs than all the rest: a lock on one of them must not cost it.
        let roles = format!("the roles that the dump names could not be looked at, and are not in the inventory: {why}");
        told = session.advice(&query("'[]'::pg_catalog.json")).await?;
        answer.warnings.push(roles);
    }
    if let AdvisoryRows::Rows(rows) = told
        && let Some(row) = rows.first()
        && let Some(shared) = SharedTexts::read(&row.bytes(0)?)
    {
        answer.properties = shared.properties(session).await?;
    }
    let lost = &answer.properties.unreadable;
    if !lost.is_empty() {
        answer.warnings.push(format!(
            "of the database itself these hold what is no text in its encoding, and are not in this backup, or not all of them: {}",
            lost.join(", ")
        ));
    }
    match &answer.properties.encoding {
        Some(encoding) => answer.properties.dump_encoding = Some(dump_encoding(encoding).to_owned()),
        None => answer.warnings.push(
            "the server does not tell the properties of this database (encoding, locale, settings, privileges): they are not in this backup".to_owned(),
        ),
    }
    answer.properties.system_identifier = system_identifier(session).await?;
    let (settings, hidden) = server_settings(session).await?;
    answer.properties.server_settings = settings;
    if !hidden.is_empty() {
        answer.warnings.push(format!(
            "the login has values of its own for {}, so that the server's are not known: generated columns and materialized views that depend \
             on them may have other values in a restore; ALTER ROLE … RESET them for the backup's user",
            hidden.join(", ")
        ));
    }
    let (collations, unknown) = collations::ask(session).await?;
    answer.properties.system_collations = collations;
    answer.warnings.extend(unknown);
    answer.names = EncodedNames::ask(session, answer.properties.dump_encoding.as_deref()).await?;
    answer.warnings.extend(left_out(session).await?);
    if selection.tables.is_empty() && selection.schemas.is_empty() {
        answer.warnings.extend(extension_tables::ask(session).await?);
        answer.warnings.extend(member_tables::ask(session).await?);
        answer.warnings.extend(foreign_members::ask(session).await?);
    }
    Ok(answer)
}

impl PropertiesAnswer {
    /// What depends on the selection: how its dump will have amounts of type `money`, and whose rows it does not have.
    pub(crate) async fn ask_for_dumped(&mut self, session: &Session<'_>, selection: &DumpSelection) -> Result<()> {
        self.warnings.extend(foreign_rows(session, selection.written.as_deref()).await?);
        let encoding = self.properties.dump_encoding.as_deref();
        let (amounts, unknown) = money::ask(session, selection.written.as_deref(), encoding).await?;
        self.properties.money = amounts.as_ref().map(|amounts| amounts.format.clone());
        let of_others = self.properties.setting("lc_monetary");
        let is_known = !self.properties.server_settings.is_empty();
        if let Some(money) = self.properties.money.as_ref()
            && is_known
            && of_others != Some(&*money.locale)
        {
            self.warnings.push(format!(
                "the login has an lc_monetary of its own ({}), in which the dump has amounts of type money: where constraints or generated \
                 columns read text as amounts, it may not restore; ALTER ROLE … RESET lc_monetary",
                money.locale
            ));
        }
        self.amounts = amounts;
        self.warnings.extend(unknown);
        Ok(())
    }

    /// What decides how this dump's rows are read and stands nowhere in a backup without an inventory.
    pub(crate) fn lost_without_inventory(&self) -> Option<String> {
        let settings = self.properties.settings.iter().chain(self.properties.server_settings.iter());
        let lost: Vec<&str> = settings.map(|(name, _)| name).filter(|name| name.contains('.')).collect();
        (!lost.is_empty()).then(|| {
            format!(
                "the legacy format does not keep settings of users' own and of extensions, which a restore may have to set by hand: {}",
                lost.join(", ")
            )
        })
    }

    /// Once the rows of the dump are counted: where it can have no amount, there is none to misread.
    pub(crate) fn forget_unused_money(&mut self, dumped: &[TableRows]) {
        if self.amounts.as_ref().is_some_and(|amounts| !amounts.can_be_in(dumped)) {
            self.properties.money = None;
        }
    }
}

/// Of the cluster; a server may refuse it.
async fn system_identifier(session: &Session<'_>) -> Result<Option<String>> {
    let query = "SELECT system_identifier::pg_catalog.text FROM pg_catalog.pg_control_system()";
    match session.advice(query).await? {
        AdvisoryRows::Rows(rows) => Ok(rows.first().and_then(|row| row.text(0).ok()).map(str::to_owned)),
        AdvisoryRows::Refused(_) => Ok(None),
    }
}

/// Those of the server that decide what rows mean, users' own (`app.region`) and extensions' among them, and names of those that
/// the login or its session has another value for: what others have is not told then.
async fn server_settings(session: &Session<'_>) -> Result<(Settings, Vec<String>)> {
    let names = VALUE_SETTINGS.join(",");
    let query = format!(
        "SELECT {}, {}, s.source OPERATOR(pg_catalog.=) ANY ('{{user,database user,client}}'::pg_catalog.text[]) FROM pg_catalog.pg_settings s
         WHERE pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) ANY ('{{{names}}}'::pg_catalog.text[])
                 AND s.source OPERATOR(pg_catalog.<>) ALL ('{{database,session,interactive,test}}'::pg_catalog.text[])
             OR pg_catalog.strpos(s.name, '.') OPERATOR(pg_catalog.>) 0 AND s.context OPERATOR(pg_catalog.=) 'user'
                 AND s.source OPERATOR(pg_catalog.=) ANY ('{{configuration file,command line}}'::pg_catalog.text[])
         ORDER BY s.name LIMIT 500",
        session::name("s.name"),
        session::name("s.setting")
    );
    let (mut settings, mut hidden) = (Vec::new(), Vec::new());
    if let AdvisoryRows::Rows(rows) = session.advice(&query).await? {
        for row in &rows {
            let (name, value) = (String::from_utf8(row.bytes(0)?), String::from_utf8(row.bytes(1)?));
            match (name, value) {
                (Ok(name), _) if row.flag(2)? => hidden.push(name),
                (Ok(name), Ok(value)) => settings.push((name, value)),
                _ => {}
            }
        }
    }
    Ok((settings.into_iter().collect(), hidden))
}

/// `part`: see [`DumpSelection::written`].
async fn foreign_rows(session: &Session<'_>, part: Option<&str>) -> Result<Option<String>> {
    let (part, is_in_part) = match part {
        Some(part) => (
            format!("WITH RECURSIVE {part} "),
            "AND EXISTS (SELECT FROM written w WHERE w.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid \
             AND w.objid OPERATOR(pg_catalog.=) c.oid)",
        ),
        None => (String::new(), ""),
    };
    let from = format!("{FOREIGN_TABLES} {is_in_part}");
    let query = NameSample::query("pg_catalog.format('%I.%I', n.nspname, c.relname)", &from, "n.nspname, c.relname");
    let tables = preflight::names(session, &format!("{part}{query}")).await?.unwrap_or_default();
    Ok((!tables.is_empty()).then(|| format!("the rows of foreign tables are on other servers, and not in this dump: {tables}")))
}

/// What `pg_dump` leaves out and does not tell.
async fn left_out(session: &Session<'_>) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let mapping = session::hex("coalesce(m.usename, 'public') OPERATOR(pg_catalog.||) ' at ' OPERATOR(pg_catalog.||) m.srvname");
    let query = format!("SELECT {mapping}, pg_catalog.count(*) OVER () {HIDDEN_OPTIONS} ORDER BY 1 LIMIT {NAMED}");
    if let AdvisoryRows::Rows(rows) = session.advice(&query).await?
        && let Some(first) = rows.first()
    {
        let count = first.number(1)?;
        let names: Result<Vec<String>> = rows.iter().map(|row| row.name(0)).collect();
        let names = names?.join(", ");
        let more = if count > NAMED as u64 {
            format!(" and {} more", count - NAMED as u64)
        } else {
            String::new()
        };
        warnings.push(format!(
            "the options of user mappings are hidden from this user: the dump has these mappings without them: {names}{more}"
        ));
    }
    if let AdvisoryRows::Rows(rows) = session.advice(LABELS).await?
        && let Some(row) = rows.first()
        && row.number(0)? > 0
    {
        warnings.push(format!(
            "{} security labels of the database itself are not in this backup",
            row.number(0)?
        ));
    }
    Ok(warnings)
}

/// For a dump that is not in UTF-8: what its names are called there. Empty where there is nothing to translate.
#[derive(Clone, Debug, Default)]
pub struct EncodedNames(HashMap<Vec<u8>, Vec<u8>>);

impl EncodedNames {
    async fn ask(session: &Session<'_>, encoding: Option<&str>) -> Result<Self> {
        let Some(encoding) = encoding.filter(|encoding| !matches!(*encoding, "UTF8" | "SQL_ASCII")) else {
            return Ok(Self::default());
        };
        let bytes = |encoding: &str| {
            format!(
                "pg_catalog.encode(pg_catalog.convert_to(x.name::pg_catalog.text, {}), 'hex')",
                sql::literal(encoding)
            )
        };
        let query = format!(
            "SELECT {}, {} FROM (SELECT relname AS name FROM pg_catalog.pg_class WHERE oid OPERATOR(pg_catalog.>=) 16384 UNION
                 SELECT nspname FROM pg_catalog.pg_namespace) x
             WHERE pg_catalog.octet_length(x.name::pg_catalog.text) OPERATOR(pg_catalog.<>) pg_catalog.char_length(x.name::pg_catalog.text)
                 OR x.name::pg_catalog.text OPERATOR(pg_catalog.~) '[^ -~]' LIMIT 100000",
            bytes(encoding),
            bytes("UTF8")
        );
        match session.advice(&query).await? {
            AdvisoryRows::Rows(rows) => {
                let pairs: Result<HashMap<Vec<u8>, Vec<u8>>> = rows.iter().map(|row| Ok((row.bytes(0)?, row.bytes(1)?))).collect();
                Ok(Self(pairs?))
            }
            // A name that has no place in UTF-8: then all stand as the bytes that they are.
            AdvisoryRows::Refused(_) => Ok(Self::default()),
        }
    }

    /// The same tables under names in UTF-8.
    pub(crate) fn translate(&self, tables: &[TableRows]) -> Vec<TableRows> {
        let mut tables = tables.to_vec();
        if self.0.is_empty() {
            return tables;
        }
        for table in &mut tables {
            if let Some(name) = TableName::parse(&table.name) {
                table.name = name
                    .map(|part| self.0.get(part).map_or_else(|| part.to_vec(), Clone::clone))
                    .to_string();
            }
        }
        tables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_translated_by_what_the_server_said() {
        let names = EncodedNames(HashMap::from([(b"gr\xf6\xdfe".to_vec(), "gr\u{f6}\u{df}e".into())]));
        let table = |name: &str| TableRows {
            name: name.to_owned(),
            rows: 1,
            bytes: 2,
            ..TableRows::default()
        };
        let told = names.translate(&[table("public.E\"gr\\xf6\\xdfe\""), table("public.t"), table("public.E\"\\x81\"")]);
        let told: Vec<&str> = told.iter().map(|table| &*table.name).collect();
        assert_eq!(told, ["public.\"gr\u{f6}\u{df}e\"", "public.t", "public.E\"\\x81\""]);
    }
}
