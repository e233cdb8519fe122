//! The bins that the keys of the B* are spread over, by their first two bytes.

/// By pair of first bytes: how many B* there are, then where the next key goes, and in the end where the bin ends.
pub(super) struct Bins {
    ends: Vec<u32>,
    /// Bytes that begin a pair. Of the others there is nothing to look at, and no memory to touch.
    firsts: Vec<u8>,
}

impl Bins {
    pub(super) fn new() -> Self {
        Self {
            ends: vec![0; 1 << 16],
            firsts: Vec::new(),
        }
    }

    /// Empties the bins of the bytes used.
    pub(super) fn clear(&mut self, used: &[bool; 256]) {
        self.firsts.clear();
        self.firsts.extend((0..=255).filter(|&byte| used[usize::from(byte)]));
        for &first in &self.firsts {
            self.ends.as_chunks_mut::<256>().0[usize::from(first)].fill(0);
        }
    }

    /// Puts in place of each count where its bin begins.
    pub(super) fn begin(&mut self) {
        let mut start = 0;
        for &first in &self.firsts {
            for end in &mut self.ends.as_chunks_mut::<256>().0[usize::from(first)] {
                start += std::mem::replace(end, start);
            }
        }
    }

    pub(super) fn ends(&mut self) -> &mut [u32; 1 << 16] {
        self.ends.first_chunk_mut().unwrap_or_else(|| unreachable!())
    }

    /// The bins that have any keys: where these are.
    pub(super) fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let rows = self
            .firsts
            .iter()
            .flat_map(|&first| &self.ends.as_chunks::<256>().0[usize::from(first)]);
        let mut start = 0;
        rows.filter_map(move |&end| {
            let range = start..end as usize;
            start = range.end;
            (!range.is_empty()).then_some(range)
        })
    }

    /// Number of B* that begin with `first` and `second`, of which `first` is less.
    pub(super) fn count(&self, first: usize, second: usize) -> usize {
        let pair = 256 * first + second;
        // There is one before it: that of twice the same byte.
        (self.ends[pair] - self.ends[pair - 1]) as usize
    }
}
