//! Lengths and codes of a Huffman table.

/// The longest code that every decoder takes and bzip2 writes.
pub(super) const LONGEST: u8 = 17;

/// Lengths of an optimal code for `counts`, none longer than [`LONGEST`]. A symbol that does not occur still has a code.
pub(super) fn lengths(counts: &[u32], lengths: &mut [u8]) {
    let mut scaled = [0u32; 258];
    let scaled = &mut scaled[..counts.len()];
    scaled.copy_from_slice(counts);
    while !try_lengths(scaled, lengths) {
        for count in &mut *scaled {
            *count = count.div_ceil(2);
        }
    }
}

/// Huffman's algorithm with two queues: the leaves by weight, and the nodes, which arise by weight.
fn try_lengths(counts: &[u32], lengths: &mut [u8]) -> bool {
    let n = counts.len();
    let mut leaves = [0u64; 258];
    for (symbol, (leaf, &count)) in leaves.iter_mut().zip(counts).enumerate() {
        *leaf = (u64::from(count) << 16) | symbol as u64;
    }
    leaves[..n].sort_unstable();
    let mut weights = [0u32; 258];
    // Children are numbered leaves first, then nodes.
    let mut parents = [0u16; 516];
    let (mut leaf, mut node) = (0, 0);
    for next in 0..n - 1 {
        let mut weight = 0;
        for _ in 0..2 {
            if leaf < n && (node == next || (leaves[leaf] >> 16) as u32 <= weights[node]) {
                weight += (leaves[leaf] >> 16) as u32;
                parents[leaf] = next as u16;
                leaf += 1;
            } else {
                weight += weights[node];
                parents[n + node] = next as u16;
                node += 1;
            }
        }
        weights[next] = weight;
    }
    let mut depths = [0u8; 258];
    for k in (0..n - 2).rev() {
        depths[k] = depths[usize::from(parents[n + k])] + 1;
    }
    let mut fits = true;
    for k in 0..n {
        let depth = depths[usize::from(parents[k])] + 1;
        fits &= depth <= LONGEST;
        lengths[(leaves[k] & 0xFFFF) as usize] = depth;
    }
    fits
}

/// Canonical codes: by length, then by symbol; each as `code << 8 | length`.
pub(super) fn codes(lengths: &[u8], codes: &mut [u32]) {
    let mut code = 0;
    for length in 1..=LONGEST {
        for (symbol, _) in lengths.iter().enumerate().filter(|&(_, &l)| l == length) {
            codes[symbol] = (code << 8) | u32::from(length);
            code += 1;
        }
        code <<= 1;
    }
}
