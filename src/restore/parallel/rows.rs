//! The rows of one table, cut into pieces at line ends. A line end inside of a value is written `\n`, so each piece is whole rows.

use crate::error::{Code, Error};
use crate::format::dump_statement::Statement;
use std::sync::Arc;

/// Enough that what is said before and after it does not count, little enough that one for each session fits into memory.
pub(super) const PIECE: usize = 4 << 20;

/// Rows with the statement that reads them.
pub(super) struct Piece {
    /// `COPY … FROM stdin;`
    pub statement: Arc<[u8]>,
    /// For people.
    pub table: Arc<str>,
    /// Of the table, before this piece.
    pub rows_before: u64,
    pub rows: Vec<u8>,
}

impl Piece {
    /// The server counts lines from the beginning of the piece, people from that of the table.
    pub(super) fn named_in(&self, mut error: Error) -> Error {
        if error.code == Code::RestoreFailed {
            let message = in_lines_of_the_table(&error.message, self.rows_before);
            error.message = format!("{message}; it came while rows went into {}", self.table);
        }
        error
    }
}

/// `CONTEXT: COPY t, line 12, column n`.
fn in_lines_of_the_table(message: &str, before: u64) -> String {
    const LINE: &str = ", line ";
    let place = message
        .find("COPY ")
        .and_then(|copy| Some(copy + message[copy..].find(LINE)? + LINE.len()));
    let Some((head, tail)) = place.and_then(|place| message.split_at_checked(place)) else {
        return message.to_owned();
    };
    let end = tail.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(tail.len());
    match tail[..end].parse::<u64>() {
        Ok(line) => format!("{head}{}{}", line.saturating_add(before), &tail[end..]),
        Err(_) => message.to_owned(),
    }
}

/// What has come of a table.
pub(super) struct RowsOfTable {
    statement: Arc<[u8]>,
    table: Arc<str>,
    /// Of the pieces that are gone.
    rows_before: u64,
    rows: Vec<u8>,
    /// Where the last whole row among them ends.
    end: usize,
    mark: Vec<u8>,
}

impl RowsOfTable {
    pub(super) fn new(statement: &Statement) -> Self {
        let name = statement.qualified(1).map_or(2, |(_, end)| end);
        Self {
            statement: statement.all_bytes().into(),
            table: statement.text(1, name).into(),
            rows_before: 0,
            rows: Vec::new(),
            end: 0,
            mark: Vec::new(),
        }
    }

    /// Bytes that are of the next row, or of the end of all rows.
    pub(super) fn mark(&mut self, part: &[u8]) {
        self.mark.extend_from_slice(part);
    }

    /// Takes what fits into a piece; gives the rest.
    pub(super) fn take<'a>(&mut self, part: &'a [u8]) -> &'a [u8] {
        self.rows.append(&mut self.mark);
        let room = match PIECE.saturating_sub(self.rows.len()) {
            // A row that is longer than a piece: to its end.
            0 => memchr::memchr(b'\n', part).map_or(part.len(), |end| end + 1),
            room => room.min(part.len()),
        };
        let (part, rest) = part.split_at(room);
        if let Some(end) = memchr::memrchr(b'\n', part) {
            self.end = self.rows.len() + end + 1;
        }
        self.rows.extend_from_slice(part);
        rest
    }

    /// The whole rows, if there are enough of them. A row that is longer than a piece is one of its own.
    pub(super) fn full_piece(&mut self, buffer: impl FnOnce() -> Vec<u8>) -> Option<Piece> {
        if self.rows.len() < PIECE || self.end == 0 {
            return None;
        }
        let (end, mut next) = (std::mem::take(&mut self.end), buffer());
        next.extend_from_slice(&self.rows[end..]);
        self.rows.truncate(end);
        let rows = std::mem::replace(&mut self.rows, next);
        Some(self.piece(rows))
    }

    /// What is left at the end. The dump's own line that ends the rows is not among it.
    pub(super) fn last_piece(mut self) -> Option<Piece> {
        let rows = std::mem::take(&mut self.rows);
        // Of a table without rows too: what stands in its way is told.
        let is_first = self.rows_before == 0;
        (is_first || !rows.is_empty()).then(|| self.piece(rows))
    }

    fn piece(&mut self, rows: Vec<u8>) -> Piece {
        let before = self.rows_before;
        self.rows_before += memchr::memchr_iter(b'\n', &rows).count() as u64;
        Piece {
            statement: self.statement.clone(),
            table: self.table.clone(),
            rows_before: before,
            rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::dump_lexer::DumpLexer;

    fn table() -> RowsOfTable {
        let (sql, mut lexer) = (b"\n-- a comment\nCOPY public.\"T t\" (a, b) FROM stdin;", DumpLexer::default());
        let (read, _) = lexer.read(sql);
        assert_eq!(read, sql.len());
        RowsOfTable::new(&Statement::new(sql, lexer.tokens()))
    }

    /// All that comes out when rows come in pieces of this size.
    fn pieces(rows: &[u8], size: usize) -> Vec<Piece> {
        let (mut table, mut pieces) = (table(), Vec::new());
        for part in rows.chunks(size) {
            let mut rest = part;
            while !rest.is_empty() {
                rest = table.take(rest);
                pieces.extend(table.full_piece(Vec::new));
            }
        }
        pieces.extend(table.last_piece());
        pieces
    }

    #[test]
    fn pieces_are_whole_rows_and_together_all_of_them() {
        let long = [&b"x".repeat(2 * PIECE)[..], b"\ty\n"].concat();
        let rows = [
            &b"1\ta\n".repeat(PIECE / 3)[..],
            &long,
            b"2\t\\N\n",
            &b"3\tb\\n\n".repeat(PIECE / 7),
        ]
        .concat();
        for size in [1 << 10, 65_521, PIECE, rows.len()] {
            let pieces = pieces(&rows, size);
            assert!(pieces.len() > 2, "{size}");
            assert!(pieces.iter().all(|piece| piece.rows.ends_with(b"\n")), "{size}");
            assert!(pieces.iter().filter(|piece| piece.rows.len() > PIECE).count() <= 1, "{size}");
            let mut before = 0;
            for piece in &pieces {
                assert_eq!((piece.rows_before, &*piece.table), (before, "public.\"T t\""));
                assert_eq!(&*piece.statement, b"COPY public.\"T t\" (a, b) FROM stdin;");
                before += piece.rows.iter().filter(|byte| **byte == b'\n').count() as u64;
            }
            let all: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.rows).collect();
            assert!(all == rows, "{size}");
        }
    }

    /// Who may not write to it is told so even if there is nothing to write.
    #[test]
    fn a_table_without_rows_is_one_piece_and_a_full_one_has_no_empty_piece_behind_it() {
        let empty = pieces(b"", 10);
        assert_eq!((empty.len(), empty[0].rows.len()), (1, 0));
        let rows = [&b"x".repeat(PIECE - 1)[..], b"\n"].concat();
        assert_eq!(pieces(&rows, 1 << 16).len(), 1);
    }

    #[test]
    fn the_line_of_an_error_is_that_of_the_table() {
        for (said, told) in [
            (
                "ERROR: x · CONTEXT: COPY t, line 3, column a: \"1\"",
                "ERROR: x · CONTEXT: COPY t, line 103, column a: \"1\"",
            ),
            ("ERROR: x · CONTEXT: COPY t, line 3", "ERROR: x · CONTEXT: COPY t, line 103"),
            ("ERROR: line 3", "ERROR: line 3"),
            ("COPY t, line x", "COPY t, line x"),
        ] {
            assert_eq!(in_lines_of_the_table(said, 100), told);
        }
    }
}
