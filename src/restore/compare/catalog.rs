//! What the restored database has, by its catalog.

use crate::error::{Code, Error, Result};
use crate::format::inventory::Extension;
use crate::format::table_name::TableName;
use crate::format::unhex_all;
use serde::Deserialize;

/// A table as the restored database has it.
#[derive(Deserialize)]
pub(super) struct CatalogTable {
    /// Hexadecimal: in a SQL_ASCII database a name need not be text.
    pub schema: String,
    pub table: String,
    pub disk_bytes: u64,
    pub of_extension: bool,
    /// Schema and name of the partitioned table at the top, if this is a partition.
    pub root: Option<[String; 2]>,
}

impl CatalogTable {
    pub(super) fn name(&self) -> Result<TableName> {
        let part = |hex: &str| unhex_all(hex).ok_or_else(|| Error::new(Code::RestoreFailed, "the catalog's answer has no names"));
        Ok(TableName::new([part(&self.schema)?, part(&self.table)?]))
    }

    pub(super) fn is_partition_of(&self, root: &TableName) -> bool {
        let parts = self
            .root
            .as_ref()
            .and_then(|[schema, table]| Some([unhex_all(schema)?, unhex_all(table)?]));
        parts.is_some_and(|parts| TableName::new(parts) == *root)
    }
}

#[derive(Deserialize)]
pub(super) struct Catalog {
    pub encoding: String,
    pub tables: Vec<CatalogTable>,
    pub extensions: Vec<Extension>,
    pub large_objects: u64,
    pub indexes: u64,
    pub constraints: u64,
    pub sequences: u64,
    pub disk_bytes: u64,
    /// Schema and name of the table, in hexadecimal, once for each.
    pub broken_indexes: Vec<[String; 2]>,
    pub open_constraints: Vec<[String; 2]>,
}

/// Rows stand in ordinary tables, of which partitions are; a partitioned table has none of its own.
pub(super) const CATALOG: &str = "
WITH own AS (
    SELECT c.oid, c.relkind, c.relispartition, c.relname, n.nspname, EXISTS (
        SELECT FROM pg_catalog.pg_depend d WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
            AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e') AS of_extension
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE n.nspname OPERATOR(pg_catalog.<>) ALL ('{pg_catalog,information_schema}'::pg_catalog.name[])
        AND n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast|temp)'
), spoken AS (
    SELECT (CASE WHEN pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.=) 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)::pg_catalog.name
        AS encoding
), named AS (
    SELECT own.*, pg_catalog.encode(pg_catalog.convert_to(nspname::pg_catalog.text, encoding), 'hex') AS schema,
        pg_catalog.encode(pg_catalog.convert_to(relname::pg_catalog.text, encoding), 'hex') AS table FROM own, spoken
)
SELECT pg_catalog.json_build_object(
    'encoding', pg_catalog.getdatabaseencoding(),
    'tables', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
        'schema', own.schema, 'table', own.table,
        'disk_bytes', pg_catalog.pg_total_relation_size(own.oid), 'of_extension', of_extension, 'root', (
            WITH RECURSIVE above AS (
                SELECT i.inhparent AS parent FROM pg_catalog.pg_inherits i
                WHERE i.inhrelid OPERATOR(pg_catalog.=) own.oid AND own.relispartition
                UNION ALL
                SELECT i.inhparent FROM above JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) above.parent AND c.relispartition
                    JOIN pg_catalog.pg_inherits i ON i.inhrelid OPERATOR(pg_catalog.=) c.oid)
            SELECT pg_catalog.json_build_array(root.schema, root.table)
            FROM above JOIN named root ON root.oid OPERATOR(pg_catalog.=) above.parent AND NOT root.relispartition
        )) ORDER BY nspname, relname), '[]')
        FROM named own WHERE own.relkind OPERATOR(pg_catalog.=) 'r'),
    'extensions', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('name', e.extname, 'version', e.extversion)
        ORDER BY e.extname), '[]') FROM pg_catalog.pg_extension e),
    'large_objects', (SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata),
    'indexes', (SELECT pg_catalog.count(*) FROM own WHERE own.relkind OPERATOR(pg_catalog.=) ANY ('{i,I}'::pg_catalog.\"char\"[])),
    'constraints', (SELECT pg_catalog.count(*) FROM pg_catalog.pg_constraint k JOIN own ON own.oid OPERATOR(pg_catalog.=) k.conrelid),
    'sequences', (SELECT pg_catalog.count(*) FROM own WHERE own.relkind OPERATOR(pg_catalog.=) 'S'),
    'disk_bytes', pg_catalog.pg_database_size(pg_catalog.current_database()),
    'broken_indexes', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(own.schema, own.table)), '[]')
        FROM pg_catalog.pg_index i JOIN named own ON own.oid OPERATOR(pg_catalog.=) i.indrelid
            JOIN pg_catalog.pg_class x ON x.oid OPERATOR(pg_catalog.=) i.indexrelid
        WHERE x.relkind OPERATOR(pg_catalog.=) 'i' AND NOT (i.indisvalid AND i.indisready AND i.indislive)),
    'open_constraints', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(own.schema, own.table)), '[]')
        FROM pg_catalog.pg_constraint k JOIN named own ON own.oid OPERATOR(pg_catalog.=) k.conrelid WHERE NOT k.convalidated))";
