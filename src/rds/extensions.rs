//! What the extensions of a database have, which no dump of it makes: for the inventory.

use super::session::{AdvisoryRows, Row, Session, name, shown};
use crate::error::{Error, Result};
use crate::format::inventory::Extension;
use crate::format::unhex_all;

/// Of an object `o`: its kind as the inventory calls it, its catalog, its name, its schema, and what else tells it from others.
type CatalogKind = (&'static str, &'static str, &'static str, &'static str, &'static str);

const NO_SCHEMA: &str = "0::pg_catalog.oid";
const METHOD_OF_CLASS: &str = "SELECT a.amname FROM pg_catalog.pg_am a WHERE a.oid OPERATOR(pg_catalog.=) o.opcmethod";
const METHOD_OF_FAMILY: &str = "SELECT a.amname FROM pg_catalog.pg_am a WHERE a.oid OPERATOR(pg_catalog.=) o.opfmethod";

const KINDS: [CatalogKind; 13] = [
    (
        "function",
        "pg_proc",
        "proname",
        "o.pronamespace",
        "pg_catalog.pg_get_function_identity_arguments(o.oid)",
    ),
    ("type", "pg_type", "typname", "o.typnamespace", "''"),
    ("language", "pg_language", "lanname", NO_SCHEMA, "''"),
    ("wrapper", "pg_foreign_data_wrapper", "fdwname", NO_SCHEMA, "''"),
    ("access method", "pg_am", "amname", NO_SCHEMA, "''"),
    ("collation", "pg_collation", "collname", "o.collnamespace", "''"),
    // Of several operators of one name the name alone.
    ("operator", "pg_operator", "oprname", "o.oprnamespace", "''"),
    ("operator class", "pg_opclass", "opcname", "o.opcnamespace", METHOD_OF_CLASS),
    ("operator family", "pg_opfamily", "opfname", "o.opfnamespace", METHOD_OF_FAMILY),
    ("text search configuration", "pg_ts_config", "cfgname", "o.cfgnamespace", "''"),
    ("text search dictionary", "pg_ts_dict", "dictname", "o.dictnamespace", "''"),
    ("text search parser", "pg_ts_parser", "prsname", "o.prsnamespace", "''"),
    ("text search template", "pg_ts_template", "tmplname", "o.tmplnamespace", "''"),
];

/// What serves types that are not the extension's own, and without a name: of an object `o` its kind, its catalog, its types,
/// what else makes it one of these, its name and what else tells it from others.
type UnnamedKind = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const UNNAMED: [UnnamedKind; 2] = [
    (
        "cast",
        "pg_cast",
        "o.castsource, o.casttarget",
        "true",
        "pg_catalog.format_type(o.castsource, NULL)",
        "pg_catalog.format_type(o.casttarget, NULL)",
    ),
    // By other access methods an index says which one it needs.
    (
        "default operator class",
        "pg_opclass",
        "o.opcintype",
        "o.opcdefault AND EXISTS (SELECT FROM pg_catalog.pg_am a WHERE a.oid OPERATOR(pg_catalog.=) o.opcmethod \
         AND a.amname OPERATOR(pg_catalog.=) ANY ('{btree,hash}'))",
        "pg_catalog.format_type(o.opcintype, NULL)",
        METHOD_OF_CLASS,
    ),
];

/// Objects of extensions: whose they are, then kind, schema, name and arguments.
fn objects() -> String {
    let members = |catalog: &str| {
        format!(
            "FROM pg_catalog.{catalog} o JOIN pg_catalog.pg_depend d ON d.objid OPERATOR(pg_catalog.=) o.oid \
             AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.{catalog}'::pg_catalog.regclass \
             AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype OPERATOR(pg_catalog.=) 'e'"
        )
    };
    let select = |kind: &str, schema: &str, name: &str, arguments: &str| {
        format!(
            "SELECT d.refobjid, '{kind}' AS kind, {schema} AS schema, ({name})::pg_catalog.text AS name, ({arguments})::pg_catalog.text AS arguments"
        )
    };
    let named = KINDS.map(|(kind, catalog, name, schema, arguments)| {
        format!("{} {}", select(kind, schema, &format!("o.{name}"), arguments), members(catalog))
    });
    let unnamed = UNNAMED.map(|(kind, catalog, types, condition, name, arguments)| {
        format!(
            "{} {} WHERE {condition} AND NOT EXISTS (SELECT FROM pg_catalog.pg_type y JOIN pg_catalog.pg_depend t \
             ON t.objid OPERATOR(pg_catalog.=) ANY (ARRAY[y.oid, y.typelem]) \
             AND t.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass \
             AND t.refclassid OPERATOR(pg_catalog.=) d.refclassid AND t.refobjid OPERATOR(pg_catalog.=) d.refobjid \
             AND t.deptype OPERATOR(pg_catalog.=) 'e' WHERE y.oid OPERATOR(pg_catalog.=) ANY (ARRAY[{types}]))",
            select(kind, NO_SCHEMA, name, arguments),
            members(catalog)
        )
    });
    Vec::from_iter(named.into_iter().chain(unnamed)).join(" UNION ")
}

/// For the inventory: a backup without this list is one all the same.
pub(super) async fn extensions(session: &Session<'_>, warnings: &mut Vec<String>) -> Result<Vec<Extension>> {
    let members = "FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.objid \
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
        WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
        AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass \
        AND d.refobjid OPERATOR(pg_catalog.=) x.oid AND d.deptype OPERATOR(pg_catalog.=) 'e' \
        AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,S,f}'::pg_catalog.\"char\"[])";
    let schemas = "FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) d.objid \
        WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass \
        AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass \
        AND d.refobjid OPERATOR(pg_catalog.=) x.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'";
    let objects = objects();
    // Lists as text: hexadecimal names hold neither commas nor dots.
    let query = format!(
        "SELECT {}, {}, COALESCE((SELECT pg_catalog.string_agg({schema}, ',' ORDER BY n.nspname) {schemas}), ''), \
         COALESCE((SELECT pg_catalog.string_agg(pg_catalog.concat({schema}, '.', {relation}), ',' ORDER BY n.nspname, c.relname) {members}), ''), \
         COALESCE((SELECT pg_catalog.string_agg(pg_catalog.concat(m.kind, '.', {schema}, '.', {object}, '.', {arguments}), ',' \
                 ORDER BY m.kind, n.nspname, m.name, m.arguments) \
             FROM ({objects}) m LEFT JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) m.schema \
             WHERE m.refobjid OPERATOR(pg_catalog.=) x.oid), '') \
         FROM pg_catalog.pg_extension x ORDER BY x.extname",
        name("x.extname"),
        name("x.extversion"),
        schema = name("n.nspname"),
        relation = name("c.relname"),
        object = name("m.name"),
        arguments = name("m.arguments"),
    );
    let rows = match session.advice(&query).await? {
        AdvisoryRows::Rows(rows) => rows,
        AdvisoryRows::Refused(why) => {
            warnings.push(format!(
                "the extensions could not be looked at, and the inventory does not list them: {why}"
            ));
            return Ok(Vec::new());
        }
    };
    let extension = |row: &Row| {
        let text = |hex: &str| unhex_all(hex).map(|name| shown(&name)).unwrap_or_default();
        let listed = |column| {
            Ok::<_, Error>(
                row.text(column)?
                    .split(',')
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect::<Vec<_>>(),
            )
        };
        let relation = |name: &String| name.split_once('.').map(|(schema, name)| [text(schema), text(name)]);
        // Kind, schema, name; some kinds have no schema.
        let object = |words: &String| {
            let (kind, name) = words.split_once('.')?;
            let name = name.split('.').filter(|part| !part.is_empty()).map(text);
            Some(std::iter::once(kind.to_owned()).chain(name).collect())
        };
        Ok(Extension {
            name: row.name(0)?,
            version: row.name(1)?,
            schemas: listed(2)?.iter().map(|name| text(name)).collect(),
            relations: listed(3)?.iter().filter_map(relation).collect(),
            objects: listed(4)?.iter().filter_map(object).collect(),
        })
    };
    rows.iter().map(extension).collect()
}
