//! The inverse of the block sort.
//!
//! Row `r` of the sorted rotations starts with a byte, and the rotation one further on is another
//! row: the table holds both. Following it from the origin gives the text, each step a cache miss.
//! So many walks go on at once: rows at even distances are marked as starts, each walk ends where
//! it meets a mark, and the pieces are then joined in the order in which they met. This holds for
//! every table, also for the several cycles of a text that is an exact power.

use super::mtf::Token;
use crate::MAX_BLOCK_LEN;

/// A row in the low 20 bits, its byte above, and [`MARK`].
type Link = u32;
const ROW_BITS: u32 = 20;
const ROW: u32 = (1 << ROW_BITS) - 1;
const MARK: u32 = 1 << 31;

/// Where a walk that has no more to do stays: behind every block's rows, its own next row.
const PARKED: u32 = ROW;
const _: () = assert!(MAX_BLOCK_LEN + STORE <= PARKED as usize);

/// Links written at once, of which only the run's count.
const STORE: usize = 8;

/// Walks at once. More than the processor keeps misses open would not help.
const WALKS: usize = 16;

/// Rows between two starts. The walk to the next start is about as long, so that the last walks
/// alone take little of the time.
const STRIDE: usize = 2048;

/// A walk's bytes before they are copied out, and the distance to the next walk's: not a power of
/// two, as those would share their places in the cache.
const LANE: usize = 1024;
const LANE_SPACING: usize = LANE + 64;

type Table = [Link; 1 << ROW_BITS];

pub(super) struct Inverse {
    table: Box<Table>,
    lanes: Box<[[u8; LANE_SPACING]; WALKS]>,
    /// The walks' bytes, piece by piece as they came.
    arena: Vec<u8>,
    starts: Vec<Start>,
    pieces: Vec<Piece>,
}

struct Start {
    row: u32,
    /// The start whose mark ended this walk.
    next: u32,
    /// Its first and last piece.
    first: u32,
    last: u32,
}

/// Bytes in the arena and the piece that goes on after them.
struct Piece {
    from: u32,
    len: u32,
    next: u32,
}

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Walk {
    /// Number of the start it came from.
    start: u32,
    /// Where in its lane the bytes begin that are its own and not yet copied.
    from: usize,
}

impl Inverse {
    pub(super) fn new() -> Self {
        let table: Box<[Link]> = vec![0; 1 << ROW_BITS].into();
        Self {
            table: table.try_into().unwrap_or_else(|_| unreachable!("the length is the type's")),
            lanes: Box::new([[0; LANE_SPACING]; WALKS]),
            arena: Vec::new(),
            starts: Vec::new(),
            pieces: Vec::new(),
        }
    }

    /// Replaces `text` by the block's, which starts at row `origin`. The tokens are the last column
    /// of the sorted rotations; `counts` counts their bytes, and the sum is above `origin` and at
    /// most [`MAX_BLOCK_LEN`].
    pub(super) fn invert(&mut self, tokens: &[Token], counts: &[u32; 256], origin: usize, text: &mut Vec<u8>) {
        let len: usize = counts.iter().map(|&count| count as usize).sum();
        assert!(origin < len && len <= MAX_BLOCK_LEN);
        text.clear();
        link(&mut self.table, tokens, counts);
        if len < 2 * STRIDE {
            let mut row = origin as u32;
            text.extend((0..len).map(|_| {
                let link = self.table[row as usize];
                row = link & ROW;
                byte(link)
            }));
            return;
        }
        self.mark(origin, len);
        self.walk(len);
        self.join(origin, len, text);
    }

    fn mark(&mut self, origin: usize, len: usize) {
        self.starts.clear();
        let rows = (0..len).step_by(STRIDE).chain((!origin.is_multiple_of(STRIDE)).then_some(origin));
        for row in rows {
            self.table[row] |= MARK;
            self.starts.push(Start {
                row: row as u32,
                next: NONE,
                first: NONE,
                last: NONE,
            });
        }
        self.table[PARKED as usize] = PARKED;
    }

    fn walk(&mut self, len: usize) {
        self.arena.clear();
        self.arena.reserve(len);
        self.pieces.clear();
        let mut unused = 0..self.starts.len();
        let mut walks = [Walk { start: NONE, from: 0 }; WALKS];
        let mut rows = [PARKED; WALKS];
        for (walk, row) in walks.iter_mut().zip(&mut rows) {
            if let Some(start) = unused.next() {
                (walk.start, *row) = (start as u32, self.starts[start].row);
            }
        }
        // The first step of a walk stands on its own mark, so it is made apart.
        let mut step = 0;
        let mut fresh = [true; WALKS];
        loop {
            for lane in 0..WALKS {
                let mut link = self.table[rows[lane] as usize & ROW as usize];
                if link & MARK != 0 && !fresh[lane] {
                    let next = self.start_at(rows[lane]);
                    self.end_piece(&mut walks[lane], lane, step);
                    self.starts[walks[lane].start as usize].next = next;
                    (walks[lane].start, link) = match unused.next() {
                        Some(start) => (start as u32, self.table[self.starts[start].row as usize]),
                        None => (NONE, PARKED),
                    };
                }
                fresh[lane] = false;
                self.lanes[lane][step] = byte(link);
                rows[lane] = link & ROW;
            }
            step += 1;
            if step < LANE {
                step = steps(&self.table, &mut rows, &mut self.lanes, step);
            }
            if step == LANE {
                for (lane, walk) in walks.iter_mut().enumerate() {
                    self.end_piece(walk, lane, step);
                    walk.from = 0;
                }
                step = 0;
            }
            if walks.iter().all(|walk| walk.start == NONE) {
                return;
            }
        }
    }

    /// The number of the start at a marked row: the origin is the last, unless it is one of the
    /// others.
    fn start_at(&self, row: u32) -> u32 {
        if (row as usize).is_multiple_of(STRIDE) {
            row / STRIDE as u32
        } else {
            self.starts.len() as u32 - 1
        }
    }

    /// Moves the lane's bytes up to `step` into the arena.
    fn end_piece(&mut self, walk: &mut Walk, lane: usize, step: usize) {
        let from = std::mem::replace(&mut walk.from, step);
        if walk.start == NONE || from == step {
            return;
        }
        let piece = Piece {
            from: self.arena.len() as u32,
            len: (step - from) as u32,
            next: NONE,
        };
        self.arena.extend_from_slice(&self.lanes[lane][from..step]);
        let number = self.pieces.len() as u32;
        let start = &mut self.starts[walk.start as usize];
        match self.pieces.get_mut(start.last as usize) {
            Some(last) => last.next = number,
            None => start.first = number,
        }
        start.last = number;
        self.pieces.push(piece);
    }

    /// From the origin on, round the cycle as often as the length asks for.
    fn join(&self, origin: usize, len: usize, text: &mut Vec<u8>) {
        text.reserve(len);
        let mut start = self.starts.get(self.start_at(origin as u32) as usize);
        while let Some(current) = start {
            let mut piece = self.pieces.get(current.first as usize);
            while let Some(Piece {
                from,
                len: piece_len,
                next,
            }) = piece
            {
                let take = (*piece_len as usize).min(len - text.len());
                text.extend_from_slice(&self.arena[*from as usize..][..take]);
                piece = self.pieces.get(*next as usize);
            }
            if text.len() == len {
                return;
            }
            start = self.starts.get(current.next as usize);
        }
    }
}

fn byte(link: Link) -> u8 {
    (link >> ROW_BITS) as u8
}

/// Fills the table: the k-th occurrence of a byte in the last column belongs to the k-th row that
/// starts with it.
fn link(table: &mut Table, tokens: &[Token], counts: &[u32; 256]) {
    /// The next row of a byte, and the row after its last.
    #[derive(Clone, Copy)]
    struct Rows {
        next: u32,
        end: u32,
    }
    let mut rows = [Rows { next: 0, end: 0 }; 256];
    let mut sum = 0;
    for (rows, count) in rows.iter_mut().zip(counts) {
        *rows = Rows {
            next: sum,
            end: sum + count,
        };
        sum += count;
    }
    let mut row = 0;
    for &token in tokens {
        let (byte, run) = (token & 255, token >> 8);
        let Rows { next, end } = rows[byte as usize];
        rows[byte as usize].next = next + run;
        let first = byte << ROW_BITS | row;
        row += run;
        let to = next as usize;
        // Most runs are short: all of them are stored as one of eight, where the byte's own later
        // rows bear what is too much.
        match table.get_mut(to..).and_then(|rest| rest.first_chunk_mut::<STORE>()) {
            Some(eight) if next + STORE as u32 <= end => {
                *eight = std::array::from_fn(|k| first + k as u32);
                if run as usize > STORE {
                    number(&mut table[to + STORE..to + run as usize], first + STORE as u32);
                }
            }
            _ => number(&mut table[to..to + run as usize], first),
        }
    }
}

fn number(links: &mut [Link], first: Link) {
    for (link, value) in links.iter_mut().zip(first..) {
        *link = value;
    }
}

/// All walks at once, until one stands on a mark or the lanes are full. Gives the steps made.
fn steps(table: &Table, rows: &mut [u32; WALKS], lanes: &mut [[u8; LANE_SPACING]; WALKS], first: usize) -> usize {
    let mut at = [0; WALKS];
    for (at, row) in at.iter_mut().zip(&*rows) {
        *at = row & ROW;
    }
    let mut step = first;
    while step < LANE {
        let (mut links, mut all) = ([0; WALKS], 0);
        for (link, &row) in links.iter_mut().zip(&at) {
            *link = table[row as usize];
            all |= *link;
        }
        if all & MARK != 0 {
            break;
        }
        for ((lane, at), link) in lanes.iter_mut().zip(&mut at).zip(links) {
            lane[step] = byte(link);
            *at = link & ROW;
        }
        step += 1;
    }
    *rows = at;
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sort by comparing rotations: the tokens, the counts and the origin.
    fn sorted(text: &[u8]) -> (Vec<Token>, [u32; 256], usize) {
        let twice = [text, text].concat();
        let mut rotations: Vec<usize> = (0..text.len()).collect();
        rotations.sort_by_key(|&at| &twice[at..at + text.len()]);
        let mut counts = [0; 256];
        text.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
        let last: Vec<u8> = rotations.iter().map(|&at| twice[at + text.len() - 1]).collect();
        let tokens = last
            .chunk_by(|a, b| a == b)
            .map(|run| (run.len() as u32) << 8 | u32::from(run[0]))
            .collect();
        (tokens, counts, rotations.iter().position(|&at| at == 0).unwrap())
    }

    fn inverts(inverse: &mut Inverse, text: &[u8]) {
        let (tokens, counts, origin) = sorted(text);
        let mut found = vec![1, 2, 3];
        inverse.invert(&tokens, &counts, origin, &mut found);
        assert!(found == text, "a text of {} bytes", text.len());
    }

    #[test]
    fn inverts_every_text_of_two_letters_up_to_length_twelve() {
        let mut inverse = Inverse::new();
        for len in 1..=12 {
            for bits in 0..1u32 << len {
                let text: Vec<u8> = (0..len).map(|i| b"ab"[(bits >> i & 1) as usize]).collect();
                inverts(&mut inverse, &text);
            }
        }
    }

    #[test]
    fn inverts_texts_around_the_length_where_many_walks_begin() {
        let mut inverse = Inverse::new();
        let mut random = 5u32;
        for alphabet in [2, 3, 20, 256] {
            for len in [
                2 * STRIDE - 1,
                2 * STRIDE,
                2 * STRIDE + 1,
                5 * STRIDE + 7,
                20 * STRIDE,
                40 * STRIDE + 1,
            ] {
                let text: Vec<u8> = (0..len)
                    .map(|_| {
                        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        ((random >> 16) % alphabet) as u8
                    })
                    .collect();
                inverts(&mut inverse, &text);
            }
        }
    }

    #[test]
    fn inverts_exact_powers_whose_table_has_many_cycles() {
        let mut inverse = Inverse::new();
        for period in [1, 2, 3, 7, 1000, 4096] {
            let root: Vec<u8> = (0..period).map(|i| (i * i % 251) as u8).collect();
            inverts(&mut inverse, &root.repeat(12_288 / period));
        }
    }

    #[test]
    fn a_table_of_no_text_gives_the_length_and_ends() {
        let mut inverse = Inverse::new();
        let tokens = [9000 << 8 | 7, 9000 << 8 | 3, 1 << 8 | 7];
        let mut counts = [0; 256];
        (counts[7], counts[3]) = (9001, 9000);
        for origin in [0, 1, 2047, 2048, 18_000] {
            let mut text = Vec::new();
            inverse.invert(&tokens, &counts, origin, &mut text);
            assert_eq!(text.len(), 18_001);
        }
    }
}
