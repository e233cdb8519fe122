//! Huffman codes to symbols, up to three by one look.

use super::bits::BitReader;
use super::fault::Fault;
use crate::{GROUP_LEN, MAX_ALPHABET};

/// The longest code the format has.
pub(super) const MAX_CODE_LEN: usize = 20;

/// The symbols leave here as bytes. The end of the block is this one, whatever its number.
pub(super) const END: u8 = 255;

/// Stands for a symbol of 254 to 256, which [`Group::wide`] says: only blocks that use nearly all
/// byte values have one.
pub(super) const WIDE: u8 = 254;

/// The bits of one look. Ten keep six tables in the first-level cache, and few codes are longer.
const LOOK: u32 = 10;

/// A look is packed as three symbols in the low bytes; above them the bits of all of them (4) and
/// their number (2), which is 0 where the code is longer than a look or its symbol special.
const BITS_SHIFT: u32 = 24;
const BITS_MASK: u32 = 15;
const COUNT_SHIFT: u32 = 28;

/// One table of a block.
pub(super) struct Table {
    looks: [u32; 1 << LOOK],
    /// The code length of each symbol.
    lens: [u8; MAX_ALPHABET],
    /// For each length the first code longer than that, as the top of 20 bits; rising.
    limits: [u32; MAX_CODE_LEN + 1],
    /// For each length: the place in `symbols` of its first code, minus that code.
    offsets: [i32; MAX_CODE_LEN + 1],
    /// The symbols in the order of their codes.
    symbols: [u16; MAX_ALPHABET],
    alphabet: usize,
}

/// The symbols of one group as bytes.
pub(super) struct Group {
    /// Longer than a group, so that each look may store four bytes.
    pub symbols: [u8; 64],
    pub len: usize,
    /// What each [`WIDE`] stands for, at the same place.
    pub wide: [u16; 64],
}

impl Group {
    pub(super) fn new() -> Self {
        Self {
            symbols: [0; 64],
            len: 0,
            wide: [0; 64],
        }
    }
}

impl Table {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            looks: [0; 1 << LOOK],
            lens: [0; MAX_ALPHABET],
            limits: [0; MAX_CODE_LEN + 1],
            offsets: [0; MAX_CODE_LEN + 1],
            symbols: [0; MAX_ALPHABET],
            alphabet: 0,
        })
    }

    /// Codes in the order of length, then symbol. A set of lengths that leaves codes unused is
    /// taken, as bzip2 does; one that needs more codes than there are is not.
    pub(super) fn build(&mut self, lens: &[u8]) -> Result<(), Fault> {
        self.alphabet = lens.len();
        self.lens[..lens.len()].copy_from_slice(lens);
        let mut counts = [0u32; MAX_CODE_LEN + 1];
        for &len in lens {
            counts[usize::from(len)] += 1;
        }
        let (mut code, mut place) = (0u32, 0);
        let mut places = [0usize; MAX_CODE_LEN + 1];
        for len in 1..=MAX_CODE_LEN {
            code <<= 1;
            places[len] = place as usize;
            self.offsets[len] = place - code as i32;
            code += counts[len];
            place += counts[len] as i32;
            if code > 1 << len {
                return Err(Fault::Header("a Huffman table has too many short codes"));
            }
            self.limits[len] = code << (MAX_CODE_LEN - len);
        }
        for (symbol, &len) in lens.iter().enumerate() {
            let place = &mut places[usize::from(len)];
            self.symbols[*place] = symbol as u16;
            *place += 1;
        }
        self.fill_looks();
        Ok(())
    }

    /// The next symbols, 50 unless the block ends first. The caller compares the reader's position
    /// with the end of the bytes.
    #[inline(always)]
    pub(super) fn decode_group(&self, reader: &mut BitReader<'_>, group: &mut Group) -> Result<(), Fault> {
        let mut len = 0;
        // Five looks of ten bits fit the 56 bits of a refill, and 3 symbols each the group.
        'group: while len < GROUP_LEN {
            if len + 15 <= GROUP_LEN {
                reader.refill();
                for _ in 0..5 {
                    let look = self.look(reader);
                    let count = look >> COUNT_SHIFT;
                    if count == 0 {
                        if self.decode_one(reader, group, &mut len)? {
                            break 'group;
                        }
                        continue 'group;
                    }
                    store(group, len, look);
                    reader.skip(look >> BITS_SHIFT & BITS_MASK);
                    len += count as usize;
                }
            } else {
                reader.refill();
                let look = self.look(reader);
                let count = look >> COUNT_SHIFT;
                if count == 0 {
                    if self.decode_one(reader, group, &mut len)? {
                        break 'group;
                    }
                } else if len + 3 <= GROUP_LEN {
                    store(group, len, look);
                    reader.skip(look >> BITS_SHIFT & BITS_MASK);
                    len += count as usize;
                } else {
                    store(group, len, look);
                    reader.skip(u32::from(self.lens[usize::from(look as u8)]));
                    len += 1;
                }
            }
        }
        group.len = len;
        Ok(())
    }

    #[inline(always)]
    fn look(&self, reader: &BitReader<'_>) -> u32 {
        self.looks[(reader.peek() >> (64 - LOOK)) as usize]
    }

    /// One symbol by comparing with the limits; true if it ends the block.
    #[cold]
    #[inline(never)]
    fn decode_one(&self, reader: &mut BitReader<'_>, group: &mut Group, len: &mut usize) -> Result<bool, Fault> {
        reader.refill();
        let code = (reader.peek() >> (64 - MAX_CODE_LEN)) as u32;
        let bits = (1..=MAX_CODE_LEN).find(|&bits| code < self.limits[bits]).ok_or(Fault::BadCode)?;
        let place = self.offsets[bits] + (code >> (MAX_CODE_LEN - bits)) as i32;
        let symbol = self.symbols[place as usize];
        reader.skip(bits as u32);
        group.symbols[*len] = self.byte(symbol);
        group.wide[*len] = symbol;
        *len += 1;
        Ok(usize::from(symbol) + 1 == self.alphabet)
    }

    fn byte(&self, symbol: u16) -> u8 {
        if usize::from(symbol) + 1 == self.alphabet {
            END
        } else {
            symbol.min(WIDE.into()) as u8
        }
    }

    fn fill_looks(&mut self) {
        // First one symbol a look, in the order of codes; what is left over has no code this short.
        let mut single = [(0u8, 0u32); 1 << LOOK];
        let mut from = 0;
        for &symbol in &self.symbols[..self.alphabet] {
            let bits = u32::from(self.lens[usize::from(symbol)]);
            if bits > LOOK {
                break;
            }
            let to = from + (1 << (LOOK - bits));
            let byte = self.byte(symbol);
            if byte < WIDE {
                single[from..to].fill((byte, bits));
            }
            from = to;
        }
        for (index, look) in self.looks.iter_mut().enumerate() {
            let (mut bits, mut count, mut packed) = (0, 0, 0u32);
            while count < 3 {
                let (byte, more) = single[index << bits & ((1 << LOOK) - 1)];
                if more == 0 || bits + more > LOOK {
                    break;
                }
                packed |= u32::from(byte) << (8 * count);
                bits += more;
                count += 1;
            }
            *look = packed | bits << BITS_SHIFT | count << COUNT_SHIFT;
        }
    }
}

#[inline(always)]
fn store(group: &mut Group, len: usize, look: u32) {
    // Below 60 by the callers' conditions; said so that no check is left.
    let place = len & 63;
    if let Some(four) = group.symbols.get_mut(place..).and_then(|rest| rest.first_chunk_mut::<4>()) {
        *four = look.to_le_bytes();
    }
}
