//! What became of tables from one night to another.

use super::contents::{NightContents, TableState};
use serde::{Serialize, Serializer};
use std::sync::Arc;

/// From the earlier night to the later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TableChange {
    Same,
    Changed,
    /// As many rows and bytes: their contents may have changed all the same.
    Unknown,
    Appeared,
    /// In `diff` alone: in a history the night names what vanished.
    Vanished,
}

/// By what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChangeBasis {
    /// The dumps are the same to the byte.
    Dump,
    /// `change_hint`. Its key is public, so somebody who may write to the database could cause the same hint for other rows:
    /// no proof.
    Hint,
    /// Rows and bytes.
    Counts,
}

/// A table in one night, and against the night before.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct NightTable {
    #[serde(serialize_with = "text")]
    pub name: Arc<str>,
    pub rows: u64,
    pub bytes: u64,
    /// `None`: no earlier night is there to compare with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<TableChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<ChangeBasis>,
    /// In the night before, if it was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_before: Option<u64>,
}

fn text<S: Serializer>(name: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name)
}

impl NightTable {
    pub(super) fn alone(state: &TableState) -> Self {
        Self {
            name: Arc::clone(&state.name),
            rows: state.rows,
            bytes: state.bytes,
            change: None,
            by: None,
            rows_before: None,
            bytes_before: None,
        }
    }

    /// What came to it, or went; 0 without an earlier night, all rows of one that appeared.
    pub(crate) fn gained(&self) -> i128 {
        match self.change {
            None => 0,
            Some(_) => i128::from(self.rows) - i128::from(self.rows_before.unwrap_or(0)),
        }
    }
}

/// Every table of the later night, by name.
pub(crate) fn changes(before: &NightContents, after: &NightContents) -> Vec<NightTable> {
    let are_hints_comparable = before.recipients.is_some() && before.recipients == after.recipients;
    let is_same_dump = before.plain_sha256 == after.plain_sha256;
    let compared = |state: &TableState| {
        let mut table = NightTable::alone(state);
        let Some(known) = before.table(&state.name) else {
            table.change = Some(TableChange::Appeared);
            return table;
        };
        let is_counted_same = (known.rows, known.bytes) == (state.rows, state.bytes);
        let hints = known.hint.zip(state.hint).filter(|_| are_hints_comparable);
        let (change, by) = match hints {
            _ if is_same_dump => (TableChange::Same, ChangeBasis::Dump),
            _ if !is_counted_same => (TableChange::Changed, ChangeBasis::Counts),
            Some((one, other)) if one == other => (TableChange::Same, ChangeBasis::Hint),
            Some(_) => (TableChange::Changed, ChangeBasis::Hint),
            None => (TableChange::Unknown, ChangeBasis::Counts),
        };
        (table.change, table.by) = (Some(change), Some(by));
        (table.rows_before, table.bytes_before) = (Some(known.rows), Some(known.bytes));
        table
    };
    after.tables.iter().map(compared).collect()
}

/// Tables of the earlier night that are not in the later one.
pub(crate) fn vanished<'a>(before: &'a NightContents, after: &NightContents) -> Vec<&'a TableState> {
    before.tables.iter().filter(|table| after.table(&table.name).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Sha256;
    use crate::restore::history::tests::night;

    /// The change of the one table `t`.
    fn told(before: &NightContents, after: &NightContents) -> (Option<TableChange>, Option<ChangeBasis>) {
        let all = changes(before, after);
        let table = all.iter().find(|table| &*table.name == "public.t").unwrap();
        (table.change, table.by)
    }

    fn with(rows: u64, hint: Option<u8>, recipients: Option<&[&str]>) -> NightContents {
        let mut made = night(u8::try_from(rows % 7).unwrap() + 1, &[("public.t", rows)]);
        made.tables[0].hint = hint.map(|byte| [byte; 16]);
        made.recipients = recipients.map(|all| Sha256::digest(all.concat().as_bytes()));
        made
    }

    #[test]
    fn hints_tell_changes_that_counts_do_not() {
        let us: Option<&[&str]> = Some(&["a", "b"]);
        let of = |hint| {
            let mut made = with(5, hint, us);
            made.plain_sha256 = Sha256::digest(&[hint.unwrap_or(0)]);
            made
        };
        let mut other = of(Some(1));
        other.plain_sha256 = Sha256::digest(b"other");
        assert_eq!(told(&of(Some(1)), &other), (Some(TableChange::Same), Some(ChangeBasis::Hint)));
        assert_eq!(
            told(&of(Some(1)), &of(Some(2))),
            (Some(TableChange::Changed), Some(ChangeBasis::Hint))
        );
        // Only one of them has it.
        assert_eq!(
            told(&of(None), &of(Some(2))),
            (Some(TableChange::Unknown), Some(ChangeBasis::Counts))
        );
    }

    /// Their keys are others: every table would be told as changed.
    #[test]
    fn hints_of_other_recipients_are_not_compared() {
        for (one, other) in [
            (Some(&["a"][..]), Some(&["a", "b"][..])),
            (Some(&["a"][..]), None),
            (None, Some(&["a"][..])),
            (None, None),
        ] {
            let (mut before, after) = (with(5, Some(1), one), with(5, Some(2), other));
            before.plain_sha256 = Sha256::digest(b"before");
            assert_eq!(
                told(&before, &after),
                (Some(TableChange::Unknown), Some(ChangeBasis::Counts)),
                "{one:?} {other:?}"
            );
        }
    }

    #[test]
    fn other_counts_are_a_change_whatever_the_hint_says() {
        let us: Option<&[&str]> = Some(&["a"]);
        let changed = (Some(TableChange::Changed), Some(ChangeBasis::Counts));
        assert_eq!(told(&with(5, Some(1), us), &with(6, Some(1), us)), changed);
        assert_eq!(told(&with(5, None, us), &with(6, None, us)), changed);
    }

    #[test]
    fn the_same_dump_is_the_same_without_any_hint() {
        let one = with(5, None, None);
        assert_eq!(told(&one, &one.clone()), (Some(TableChange::Same), Some(ChangeBasis::Dump)));
    }

    #[test]
    fn tables_appear_and_vanish() {
        let before = night(1, &[("public.a", 3), ("public.t", 5)]);
        let after = night(2, &[("public.t", 5), ("public.z", 9)]);
        let all = changes(&before, &after);
        let appeared = all.iter().find(|table| &*table.name == "public.z").unwrap();
        assert_eq!(
            (appeared.change, appeared.by, appeared.gained()),
            (Some(TableChange::Appeared), None, 9)
        );
        let names: Vec<&str> = vanished(&before, &after).iter().map(|table| &*table.name).collect();
        assert_eq!(names, ["public.a"]);
    }
}
