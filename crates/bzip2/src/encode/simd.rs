//! Vector instructions behind safe functions, each with a scalar twin that gives the same result.
//!
//! A hot stage is a function generic over [`Simd`]; [`dispatch!`] compiles it for each [`Isa`] and picks at run time.
//! aarch64 has the scalar code alone.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;
#[cfg(test)]
mod tests;

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(super) use avx512::Avx512;
pub(super) use scalar::Scalar;

/// The instructions an encoder uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isa {
    /// What every processor of the architecture has, and no vector code by hand.
    Scalar,
    /// x86-64-v3. A value exists only where the processor was asked.
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    /// x86-64-v4. The same.
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
}

impl Isa {
    /// The best there is.
    pub fn detect() -> Self {
        Self::all().last().unwrap_or(Self::Scalar)
    }

    /// All that the processor has, from the plainest on.
    pub fn all() -> impl Iterator<Item = Self> {
        let vectors: Vec<Option<Self>> = Vec::from([
            #[cfg(target_arch = "x86_64")]
            Avx2::detect().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            Avx512::detect().map(Self::Avx512),
        ]);
        std::iter::once(Self::Scalar).chain(vectors.into_iter().flatten())
    }
}

/// Calls `$body(simd, arguments)` as compiled for the instructions in `$isa`. The body must be `#[inline(always)]`.
macro_rules! dispatch {
    ($isa:expr, $body:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)?) => {
        match $isa {
            #[cfg(target_arch = "x86_64")]
            $crate::encode::simd::Isa::Avx2(simd) => {
                #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
                fn compiled(simd: $crate::encode::simd::Avx2, $($arg: $type),*) $(-> $result)? {
                    $body(simd, $($arg),*)
                }
                // SAFETY: the value `simd` proves that the processor has these instructions.
                #[expect(unsafe_code, reason = "a call into code for a processor that was asked")]
                unsafe { compiled(simd, $($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            $crate::encode::simd::Isa::Avx512(simd) => {
                #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512dq,avx512vl")]
                fn compiled(simd: $crate::encode::simd::Avx512, $($arg: $type),*) $(-> $result)? {
                    $body(simd, $($arg),*)
                }
                // SAFETY: as above.
                #[expect(unsafe_code, reason = "a call into code for a processor that was asked")]
                unsafe { compiled(simd, $($arg),*) }
            }
            $crate::encode::simd::Isa::Scalar => $body($crate::encode::simd::Scalar, $($arg),*),
        }
    };
}
pub(super) use dispatch;

/// Rows of eight numbers of 16 bits, four to a word; only the low bits of a row's number count.
pub(super) type Table = [[u64; 2]; 512];

/// Numbers that are looked at together.
pub(super) const BATCH: usize = 64;

/// The operations that have vector code. Bit k of a mask speaks of byte k.
pub(super) trait Simd: Copy {
    /// Where `a` and `b` are equal.
    fn equal(self, a: &[u8; 64], b: &[u8; 64]) -> u64;
    /// Where `a` is greater than `b`.
    fn greater(self, a: &[u8; 64], b: &[u8; 64]) -> u64;
    /// The first of the least of eight numbers.
    fn least(self, numbers: [u16; 8]) -> usize;
    /// The sum of these rows of a table, as numbers of 16 bits that do not overflow.
    fn sum(self, rows: &[u16], table: &Table) -> [u16; 8];
    /// Moves a byte of the list to its front and gives the rank that it had; a byte that is not there is put in front, and
    /// the last, which falls out, is the error.
    fn to_front(self, list: &mut [u8; 16], byte: u8) -> Result<usize, u8>;
    /// As many keys as [`sort_few`](Self::sort_few) takes.
    const FEW: usize;
    /// Writes a few keys, all different, to `sorted` in order.
    fn sort_few(self, keys: &[i64], sorted: &mut [i64]);
    /// The same in place.
    fn sort_few_in_place(self, keys: &mut [i64]);
    /// Of at most [`BATCH`] numbers those that are `least` or more, in their order, and how many; what is behind them in
    /// `chosen` means nothing.
    fn at_least(self, numbers: &[u32], least: u32, chosen: &mut [u32; BATCH]) -> usize;
    /// Parts at most [`BATCH`] rows: those that are `least` or more go, in their order, to where `kept` is the end and then
    /// the beginning, which is behind `from..to` or on its last; the others go to `others`, the last first. Gives how many.
    fn part(self, rows: &mut [u32], from: usize, to: usize, least: u32, kept: &mut usize, others: &mut [u32; BATCH]) -> usize;
}
