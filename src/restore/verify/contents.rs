//! What came out of a dump against its inventory.

use crate::error::{Code, Error, Result};
use crate::format::Sha256;
use crate::format::inventory::TableRows;
use crate::format::table_name::TableName;
use crate::pipeline::DumpStats;

/// What came out against what was counted when it went in.
pub fn check_against_inventory(counted: &DumpStats, contents: &crate::format::inventory::Inventory) -> Result<()> {
    let tampered = |what: String| {
        Err(Error::new(
            Code::Tampered,
            format!("the dump is not what its inventory says: {what}"),
        ))
    };
    if Sha256::from(counted.plain_sha256) != contents.plain_sha256 || counted.plain_bytes != contents.plain_bytes {
        return tampered("its plaintext has another hash".into());
    }
    let encoding = contents.properties.dump_encoding.as_deref();
    if !same_tables(&counted.tables, &contents.tables, encoding)
        || counted.rows != contents.rows
        || counted.large_objects != contents.large_objects
    {
        return tampered("its tables have other rows".into());
    }
    Ok(())
}

/// By order, rows and bytes, and by names where both sides spell them: the plaintext is the same by its hash, and an
/// inventory may have names in UTF-8 that stand in the dump in the database's own encoding, whose bytes may be text in UTF-8
/// too, and another one.
fn same_tables(counted: &[TableRows], sealed: &[TableRows], encoding: Option<&str>) -> bool {
    let is_translated = encoding.is_some_and(|encoding| !matches!(encoding, "UTF8" | "SQL_ASCII"));
    let names = |one: &str, other: &str| {
        let (one, other) = (TableName::parse(one), TableName::parse(other));
        let is_text = |name: &TableName| {
            name.parts()
                .all(|part| std::str::from_utf8(part).is_ok_and(|part| !part.contains('\u{fffd}')))
        };
        let is_ascii = |name: &TableName| name.parts().all(<[u8]>::is_ascii);
        let both = |is: &dyn Fn(&TableName) -> bool| [&one, &other].into_iter().flatten().all(is);
        one == other || !both(&is_text) || (is_translated && !both(&is_ascii))
    };
    let same = |(one, other): (&TableRows, &TableRows)| (one.rows, one.bytes) == (other.rows, other.bytes) && names(&one.name, &other.name);
    counted.len() == sealed.len() && counted.iter().zip(sealed).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of EUC_KR whose bytes are another letter in UTF-8: a good backup was tampered with forever.
    #[test]
    fn a_name_in_another_encoding_may_look_like_utf_8() {
        let table = |name: &str| TableRows {
            name: name.to_owned(),
            rows: 1,
            bytes: 2,
            ..TableRows::default()
        };
        let (raw, translated) = ([table("public.\"\u{1e5}\"")], [table("public.\"\u{d45c}\"")]);
        assert!(same_tables(&raw, &translated, Some("EUC_KR")));
        assert!(!same_tables(&raw, &translated, Some("UTF8")));
        assert!(!same_tables(&[table("public.a")], &[table("public.b")], Some("EUC_KR")));
    }
}
