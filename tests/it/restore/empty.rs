//! Targets that are empty, targets that are not, and databases that are made.

use super::{access, cancel};
use crate::support::postgres::Server;
use pgseal::error::Code;
use pgseal::format::database_properties::DatabaseProperties;
use pgseal::restore::create::create;
use pgseal::restore::target_database::must_be_empty;

#[test]
fn whatever_a_user_made_is_named() {
    let server = Server::start();
    for (index, (sql, named)) in [
        ("select 1", ""),
        ("create table \"T;1\" (i int)", "table public.\"T;1\""),
        ("create view v as select 1", "view public.v"),
        ("create sequence s", "sequence public.s"),
        ("create schema odd; create extension pg_trgm schema odd", ""),
        (
            "create function f(int) returns int language sql as 'select 1'",
            "function public.f(integer)",
        ),
        ("create type e as enum ('a')", "type public.e"),
        ("create type c as (a int)", "type public.c"),
        ("create domain d as int", "type public.d"),
        ("select lo_create(4711)", "large object 4711"),
        ("create publication p", "publication p"),
        (
            "create foreign data wrapper w; create server x foreign data wrapper w",
            "foreign server x",
        ),
        ("create table t (i serial primary key)", "table public.t, sequence public.t_i_seq"),
    ]
    .into_iter()
    .enumerate()
    {
        let database = format!("d{index}");
        server.psql("postgres", &format!("create database {database}"));
        server.psql(&database, sql);
        let result = must_be_empty(&access(&server, &database), &cancel());
        match named {
            "" => result.expect("a new database is empty"),
            named => {
                let error = result.expect_err(sql);
                assert_eq!(
                    (error.code, error.message.as_str()),
                    (Code::RestoreFailed, &*format!("the target is not empty: {named}"))
                );
            }
        }
    }
}

#[test]
fn every_server_can_be_asked() {
    for major in 10..=18 {
        let server = Server::builder().major(major).start();
        must_be_empty(&access(&server, "postgres"), &cancel()).expect("a new database is empty");
        server.psql("postgres", "create table t (i int)");
        assert!(must_be_empty(&access(&server, "postgres"), &cancel()).is_err(), "{major}");
    }
}

#[test]
fn a_database_is_made_once() {
    let server = Server::start();
    let odd = access(&server, "postgres").database("it's \"odd\\\"");
    let properties = DatabaseProperties {
        encoding: Some("UTF8".to_owned()),
        collation: Some("C".to_owned()),
        ctype: Some("C".to_owned()),
        ..DatabaseProperties::default()
    };
    create(&odd, &properties, &cancel()).expect("it is made");
    must_be_empty(&odd, &cancel()).expect("it is there, and empty");
    let error = create(&odd, &DatabaseProperties::default(), &cancel()).expect_err("it exists");
    assert!(
        error.code == Code::RestoreFailed && error.message.contains("exists already"),
        "{error}"
    );
}
