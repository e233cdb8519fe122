//! Which roles a dump names: owners, grantees, roles of policies, of user mappings and of default privileges. A restore needs
//! them before its first row.
//!
//! `pg_shdepend` lists what depends on a role, with two exceptions. The role that initdb made (oid 10, `postgres` on most
//! servers, `rdsadmin` on RDS) is never listed: anyone who may name it is looked through. And what belongs to an extension is
//! listed, though no dump tells whose it is, and so is what sessions have for themselves. Subscriptions are all databases';
//! `pg_dump` writes them for a superuser only. Objects of initdb have oids below 16384; a large object has any.

/// Servers before 15 make the schema `public` themselves, and newer ones' `pg_dump` tells whose it is: that this is oid 10 is
/// none of a restore's business (`restore::filter` lets it fail).
///
/// An array of JSON, for a row `d` of `pg_database`.
pub(crate) const ROLES: &str = "(SELECT coalesce(pg_catalog.json_agg(pg_catalog.pg_get_userbyid(o.oid) ORDER BY pg_catalog.pg_get_userbyid(o.oid)), '[]') FROM (
    SELECT s.refobjid AS oid FROM pg_catalog.pg_shdepend s
    WHERE s.dbid OPERATOR(pg_catalog.=) d.oid AND s.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_authid'::pg_catalog.regclass
        AND s.deptype OPERATOR(pg_catalog.=) ANY ('{a,o,r}') AND s.classid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_extension'::pg_catalog.regclass
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid OPERATOR(pg_catalog.=) s.classid AND e.objid OPERATOR(pg_catalog.=) s.objid
            AND (e.deptype OPERATOR(pg_catalog.=) 'e' AND s.deptype OPERATOR(pg_catalog.=) 'o'
                OR e.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass AND e.refobjid OPERATOR(pg_catalog.=) ANY (
                    SELECT t.oid FROM pg_catalog.pg_namespace t WHERE t.nspname OPERATOR(pg_catalog.~) '^pg_temp_')))
    UNION SELECT b.subowner FROM pg_catalog.pg_subscription b WHERE b.subdbid OPERATOR(pg_catalog.=) d.oid
        AND (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) current_user)
    UNION SELECT 10 WHERE EXISTS (SELECT FROM (
        SELECT c.tableoid, c.oid, c.relowner, c.relacl FROM pg_catalog.pg_class c WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S}')
            AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
        UNION ALL SELECT 0::pg_catalog.oid, a.attrelid, 0::pg_catalog.oid, a.attacl FROM pg_catalog.pg_attribute a WHERE a.attacl IS NOT NULL
        UNION ALL SELECT t.tableoid, t.oid, t.typowner, t.typacl FROM pg_catalog.pg_type t
        UNION ALL SELECT p.tableoid, p.oid, p.proowner, p.proacl FROM pg_catalog.pg_proc p
        UNION ALL SELECT n.tableoid, CASE WHEN n.nspname OPERATOR(pg_catalog.<>) 'public' THEN n.oid WHEN n.nspowner OPERATOR(pg_catalog.=) 10 THEN 0 ELSE 16384 END, n.nspowner, n.nspacl FROM pg_catalog.pg_namespace n
            WHERE n.nspname OPERATOR(pg_catalog.!~) '^pg_'
        UNION ALL SELECT l.tableoid, 16384::pg_catalog.oid, l.lomowner, l.lomacl FROM pg_catalog.pg_largeobject_metadata l
        UNION ALL SELECT l.tableoid, l.oid, l.lanowner, l.lanacl FROM pg_catalog.pg_language l
        UNION ALL SELECT f.tableoid, f.oid, f.fdwowner, f.fdwacl FROM pg_catalog.pg_foreign_data_wrapper f
        UNION ALL SELECT f.tableoid, f.oid, f.srvowner, f.srvacl FROM pg_catalog.pg_foreign_server f
        UNION ALL SELECT a.tableoid, a.oid, a.defaclrole, a.defaclacl FROM pg_catalog.pg_default_acl a
        UNION ALL SELECT e.tableoid, e.oid, e.evtowner, NULL FROM pg_catalog.pg_event_trigger e
        UNION ALL SELECT p.tableoid, p.oid, p.pubowner, NULL FROM pg_catalog.pg_publication p
        UNION ALL SELECT c.tableoid, c.oid, c.collowner, NULL FROM pg_catalog.pg_collation c
        UNION ALL SELECT c.tableoid, c.oid, c.conowner, NULL FROM pg_catalog.pg_conversion c
        UNION ALL SELECT p.tableoid, p.oid, p.oprowner, NULL FROM pg_catalog.pg_operator p
        UNION ALL SELECT c.tableoid, c.oid, c.opcowner, NULL FROM pg_catalog.pg_opclass c
        UNION ALL SELECT f.tableoid, f.oid, f.opfowner, NULL FROM pg_catalog.pg_opfamily f
        UNION ALL SELECT x.tableoid, x.oid, x.dictowner, NULL FROM pg_catalog.pg_ts_dict x
        UNION ALL SELECT c.tableoid, c.oid, c.cfgowner, NULL FROM pg_catalog.pg_ts_config c
        UNION ALL SELECT s.tableoid, s.oid, s.stxowner, NULL FROM pg_catalog.pg_statistic_ext s
        UNION ALL SELECT p.tableoid, p.oid, u.role, NULL FROM pg_catalog.pg_policy p, pg_catalog.unnest(p.polroles) u(role)
        UNION ALL SELECT 0::pg_catalog.oid, m.umid, m.umuser, NULL FROM pg_catalog.pg_user_mappings m
    ) x(class, oid, owner, acl)
    WHERE x.oid OPERATOR(pg_catalog.>=) 16384 AND (x.owner OPERATOR(pg_catalog.<>) 10 AND EXISTS (SELECT FROM pg_catalog.aclexplode(x.acl) g WHERE g.grantee OPERATOR(pg_catalog.=) 10)
        OR x.owner OPERATOR(pg_catalog.=) 10 AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid OPERATOR(pg_catalog.=) x.class
            AND e.objid OPERATOR(pg_catalog.=) x.oid
            AND (e.deptype OPERATOR(pg_catalog.=) ANY ('{e,i}')
                OR e.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass AND e.refobjid OPERATOR(pg_catalog.=) ANY (
                    SELECT t.oid FROM pg_catalog.pg_namespace t WHERE t.nspname OPERATOR(pg_catalog.~) '^pg_temp_')))))) o)";
