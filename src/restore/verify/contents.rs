//! What came out of a dump against its inventory.

use crate::envelope::hex;
use crate::error::{Code, Error, Result};
use crate::format::table_name::TableName;
use crate::pipeline::{Counted, Table};

/// What came out against what was counted when it went in.
pub fn agrees(counted: &Counted, contents: &crate::envelope::contents::Contents) -> Result<()> {
    let tampered = |what: String| {
        Err(Error::new(
            Code::Tampered,
            format!("the dump is not what its inventory says: {what}"),
        ))
    };
    if hex(&counted.plain_sha256) != contents.plain_sha256 || counted.plain_bytes != contents.plain_bytes {
        return tampered("its plaintext has another hash".into());
    }
    if !same_tables(&counted.tables, &contents.tables) || counted.rows != contents.rows || counted.large_objects != contents.large_objects {
        return tampered("its tables have other rows".into());
    }
    Ok(())
}

/// By order, rows and bytes, and by names where both sides spell them: the plaintext is the same by its hash, and an
/// inventory may have names in UTF-8 that stand in the dump in the database's own encoding.
fn same_tables(counted: &[Table], sealed: &[Table]) -> bool {
    let names = |one: &str, other: &str| {
        let (one, other) = (TableName::parse(one), TableName::parse(other));
        let is_text = |name: &TableName| {
            name.parts()
                .all(|part| std::str::from_utf8(part).is_ok_and(|part| !part.contains('\u{fffd}')))
        };
        one == other || ![one, other].iter().flatten().all(is_text)
    };
    let same = |(one, other): (&Table, &Table)| (one.rows, one.bytes) == (other.rows, other.bytes) && names(&one.name, &other.name);
    counted.len() == sealed.len() && counted.iter().zip(sealed).all(same)
}
