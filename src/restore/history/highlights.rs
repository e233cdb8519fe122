//! What changed most in one night, in words.

use super::NightFacts;
use super::change::{NightTable, TableChange};
use crate::human::units::{counted, grouped};

/// Rows that came or went: `+12 rows`, `-1 row`.
pub(crate) fn gained(table: &NightTable) -> String {
    let gained = table.gained();
    let rows = counted(u64::try_from(gained.unsigned_abs()).unwrap_or(u64::MAX), "row");
    format!("{}{rows}", if gained < 0 { "-" } else { "+" })
}

impl NightFacts {
    /// What vanished, then what appeared, then the tables that gained or lost most rows; of all that is left only the number.
    pub(crate) fn highlights(&self, most: usize) -> String {
        let mut said: Vec<String> = self.vanished.iter().map(|name| format!("{name} vanished")).collect();
        let appeared = self.tables.iter().filter(|table| table.change == Some(TableChange::Appeared));
        said.extend(appeared.map(|table| format!("{} appeared, {}", table.name, counted(table.rows, "row"))));
        let mut changed: Vec<&NightTable> = self.changed().collect();
        changed.sort_by_key(|table| std::cmp::Reverse(table.gained().unsigned_abs()));
        said.extend(changed.iter().map(|table| match table.gained() {
            0 => format!("{} changed", table.name),
            _ => format!("{} {}", table.name, gained(table)),
        }));
        let more = said.len().saturating_sub(most);
        said.truncate(most);
        if more > 0 {
            said.push(format!("{} more", grouped(more as u64)));
        }
        said.join("; ")
    }

    fn changed(&self) -> impl Iterator<Item = &NightTable> {
        self.tables.iter().filter(|table| table.change == Some(TableChange::Changed))
    }
}

#[cfg(test)]
mod tests {
    use crate::restore::history::tests::fortnight;

    #[test]
    fn the_greatest_change_is_told_first_and_the_rest_is_counted() {
        let made = fortnight();
        let of = |day: usize, most: usize| made.nights[day - 1].facts.as_ref().unwrap().highlights(most);
        assert_eq!(of(1, 3), "");
        assert_eq!(of(6, 2), "public.old_prices vanished; public.log +31,000 rows; 2 more");
        assert_eq!(of(9, 1), "public.orders -91,100 rows; 2 more");
        assert!(
            of(11, 2).starts_with("public.prices appeared, 611 rows; public.log -310,000 rows"),
            "{}",
            of(11, 2)
        );
    }
}
