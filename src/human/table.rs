//! Columns side by side. In a narrow terminal the least important columns are left out, and no cell is cut: names are there
//! to be copied.

use super::Page;
use unicode_width::UnicodeWidthStr;

const GAP: usize = 2;

#[derive(Clone, Copy)]
pub(crate) struct Column {
    pub name: &'static str,
    /// Numbers stand at the right.
    pub right: bool,
    /// The highest rank leaves first where the terminal is narrow; of rank 0 none leaves.
    pub rank: u8,
}

impl Column {
    pub(crate) const fn text(name: &'static str, rank: u8) -> Self {
        Self { name, right: false, rank }
    }

    pub(crate) const fn number(name: &'static str, rank: u8) -> Self {
        Self { name, right: true, rank }
    }
}

pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// As many cells as there are columns.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.rows.push(cells.into());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Heading and rows; every cell has been made safe to show by the one who draws it.
    pub(super) fn lines(&self, page: Page, shown: impl Fn(&str) -> String) -> Vec<String> {
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(|cell| shown(cell)).collect()).collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].width());
            cells.chain([self.columns[column].name.width()]).max().unwrap_or(0)
        };
        // A column that says nothing of any row is not there.
        let says = |column: &usize| rows.iter().any(|row| !row[*column].is_empty());
        let mut kept: Vec<(usize, usize)> = (0..self.columns.len()).filter(says).map(|column| (column, width(column))).collect();
        while kept.iter().map(|(_, width)| width + GAP).sum::<usize>() > page.width + GAP {
            let least = kept.iter().enumerate().max_by_key(|(_, (column, _))| self.columns[*column].rank);
            match least {
                Some((place, (column, _))) if self.columns[*column].rank > 0 => drop(kept.remove(place)),
                _ => break,
            }
        }
        let line = |cell: &dyn Fn(usize) -> String| {
            let mut line = String::new();
            for &(column, width) in &kept {
                let cell = cell(column);
                let space = " ".repeat(width.saturating_sub(cell.width()));
                match self.columns[column].right {
                    true => line.extend([space.as_str(), &cell]),
                    false => line.extend([cell.as_str(), &space]),
                }
                line.push_str(&" ".repeat(GAP));
            }
            line.trim_end().to_owned()
        };
        let heading = line(&|column| self.columns[column].name.to_owned());
        let body = rows.iter().map(|row| line(&|column| row[column].clone()));
        std::iter::once(heading).chain(body).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(width: usize) -> Vec<String> {
        let columns = [
            Column::text("DATABASE", 0),
            Column::number("ROWS", 1),
            Column::text("KEY", 2),
            Column::text("NOTE", 3),
        ];
        let mut table = Table::new(&columns);
        table.row(["shop".to_owned(), "67,501".to_owned(), "f0b2f6e5".to_owned(), String::new()]);
        table.row(["中文".to_owned(), "9".to_owned(), "aa".to_owned(), String::new()]);
        table.lines(Page::plain(width), str::to_owned)
    }

    #[test]
    fn the_least_important_columns_leave_a_narrow_terminal_and_nothing_is_cut() {
        assert_eq!(
            drawn(80),
            ["DATABASE    ROWS  KEY", "shop      67,501  f0b2f6e5", "中文           9  aa"]
        );
        assert_eq!(drawn(20), ["DATABASE    ROWS", "shop      67,501", "中文           9"]);
        assert_eq!(drawn(3), ["DATABASE", "shop", "中文"]);
    }
}
