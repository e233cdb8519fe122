//! Whether a number can be an RSA modulus at all.
//!
//! A public key carries no checksum: a character that was spoilt on its way makes another number, for which a secret can be
//! wrapped as well, and which nobody can open. A product of two large primes has no small factor, is no prime and no power;
//! of spoilt numbers nine in ten have a small factor. Nothing here is secret, so nothing is constant in time.

/// Why a number cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModulusFault {
    /// This prime divides it.
    SmallFactor(u64),
    /// This power of a whole number.
    Power(u64),
    Prime,
}

impl std::fmt::Display for ModulusFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SmallFactor(prime) => write!(f, "{prime} divides it"),
            Self::Power(exponent) => write!(f, "it is a power with the exponent {exponent}"),
            Self::Prime => f.write_str("it is a prime number"),
        }
    }
}

/// Primes below this are tried as factors.
const LIMIT: usize = 1 << 16;
const COUNT: usize = 6542;

const PRIMES: [u16; COUNT] = primes();

const fn primes() -> [u16; COUNT] {
    let mut composite = [false; LIMIT];
    let mut primes = [0; COUNT];
    let (mut count, mut n) = (0, 2);
    while n < LIMIT {
        if !composite[n] {
            primes[count] = n as u16;
            count += 1;
            let mut multiple = n * n;
            while multiple < LIMIT {
                composite[multiple] = true;
                multiple += n;
            }
        }
        n += 1;
    }
    assert!(count == COUNT);
    primes
}

/// The first flaw but primality of an odd number above 2^64, given by its bytes, the most significant first. Every number
/// that has one is found out; one that has none is blamed with a chance below 2^-60.
pub(crate) fn flaw(modulus: &[u8]) -> Option<ModulusFault> {
    let limbs = limbs(modulus);
    let residues = residues(&limbs);
    if let Some((prime, _)) = PRIMES.iter().zip(&residues).find(|(_, residue)| **residue == 0) {
        return Some(ModulusFault::SmallFactor(u64::from(*prime)));
    }
    power(&residues, 64 * limbs.len() as u64).map(ModulusFault::Power)
}

/// Of an odd number.
pub(crate) fn is_prime(modulus: &[u8]) -> bool {
    Montgomery::new(&limbs(modulus)).is_prime()
}

/// The least significant first, without zeros at the end.
fn limbs(bytes: &[u8]) -> Vec<u64> {
    let limb = |chunk: &[u8]| chunk.iter().fold(0, |limb, byte| limb << 8 | u64::from(*byte));
    let mut limbs: Vec<u64> = bytes.rchunks(8).map(limb).collect();
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
    limbs
}

/// The number modulo each of the primes: of four of them at once, whose product fits in a limb.
fn residues(limbs: &[u64]) -> Vec<u64> {
    let mut residues = Vec::with_capacity(COUNT);
    for group in PRIMES.chunks(4) {
        let product: u64 = group.iter().map(|prime| u64::from(*prime)).product();
        let rest = limbs.iter().rev().fold(0, |rest, limb| {
            ((u128::from(rest) << 64 | u128::from(*limb)) % u128::from(product)) as u64
        });
        residues.extend(group.iter().map(|prime| rest % u64::from(*prime)));
    }
    residues
}

/// The prime exponent of which the number is a power. A k-th power is one modulo every prime; modulo a prime p with
/// p - 1 = k × m, one other number in k is so too: as many primes are asked as bring all of them together below 2^-64.
fn power(residues: &[u64], bits: u64) -> Option<u64> {
    // What has no factor below 2^16 has no root below it.
    let exponents = PRIMES.iter().map(|prime| u64::from(*prime)).take_while(|k| 16 * k <= bits);
    exponents.into_iter().find(|k| {
        let asked = 64 / u64::from(k.ilog2()) + 1;
        let primes = PRIMES.iter().map(|prime| u64::from(*prime)).zip(residues);
        let mut fitting = primes.filter(|(p, _)| (p - 1).is_multiple_of(*k)).take(asked as usize);
        fitting.all(|(p, residue)| pow(*residue, (p - 1) / k, p) == 1)
    })
}

fn pow(base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let (mut power, mut square) = (1, base % modulus);
    while exponent > 0 {
        if exponent % 2 == 1 {
            power = power * square % modulus;
        }
        square = square * square % modulus;
        exponent /= 2;
    }
    power
}

/// Numbers modulo an odd `n`, each times R = 2^(64 × limbs) (Montgomery, 1985).
struct Montgomery<'a> {
    n: &'a [u64],
    /// -1 / n modulo 2^64.
    negative_inverse: u64,
    /// The number one.
    one: Vec<u64>,
}

impl<'a> Montgomery<'a> {
    fn new(n: &'a [u64]) -> Self {
        let low = n.first().copied().unwrap_or(1);
        // Each step of Newton's doubles the bits that are right; an odd number is its own inverse modulo 8.
        let inverse = (0..5).fold(low, |x, _| x.wrapping_mul(2u64.wrapping_sub(low.wrapping_mul(x))));
        let mut numbers = Self {
            n,
            negative_inverse: inverse.wrapping_neg(),
            one: Vec::new(),
        };
        // 2^(bits - 1) is below n; doubled up to R.
        let top = n.last().map_or(0, |limb| limb.ilog2());
        let mut one = vec![0; n.len()];
        if let Some(last) = one.last_mut() {
            *last = 1 << top;
        }
        (top..64).for_each(|_| numbers.double(&mut one));
        numbers.one = one;
        numbers
    }

    /// Fermat's test to the base 2: every prime passes it, and of the numbers that are none, hardly one ever.
    fn is_prime(&self) -> bool {
        let mut power = self.one.clone();
        let mut next = vec![0; self.n.len() + 2];
        for (place, limb) in self.n.iter().enumerate().rev() {
            // n - 1: n is odd.
            let exponent = if place == 0 { limb - 1 } else { *limb };
            for bit in (0..64).rev() {
                self.square(&mut power, &mut next);
                if exponent >> bit & 1 == 1 {
                    self.double(&mut power);
                }
            }
        }
        power == self.one
    }

    fn double(&self, x: &mut [u64]) {
        let carry = x.iter_mut().fold(0, |carry, limb| {
            let out = *limb >> 63;
            *limb = *limb << 1 | carry;
            out
        });
        if carry == 1 || !self.is_below(x) {
            self.subtract(x);
        }
    }

    fn is_below(&self, x: &[u64]) -> bool {
        x.iter().rev().lt(self.n.iter().rev())
    }

    /// Modulo R.
    fn subtract(&self, x: &mut [u64]) {
        x.iter_mut().zip(self.n).fold(false, |borrow, (limb, n)| {
            let (less, one) = limb.overflowing_sub(*n);
            let (less, two) = less.overflowing_sub(u64::from(borrow));
            *limb = less;
            one | two
        });
    }

    /// x × x / R, with `sum` as room for the limbs and two more.
    fn square(&self, x: &mut [u64], sum: &mut [u64]) {
        let length = self.n.len();
        sum.fill(0);
        for place in 0..length {
            let carry = add_product(&mut sum[..length], x, x[place]);
            carry_into(&mut sum[length..], carry);
            let factor = sum[0].wrapping_mul(self.negative_inverse);
            let carry = add_product(&mut sum[..length], self.n, factor);
            carry_into(&mut sum[length..], carry);
            // The lowest limb is zero now.
            sum.copy_within(1.., 0);
            sum[length + 1] = 0;
        }
        let over = sum[length] != 0;
        x.copy_from_slice(&sum[..length]);
        if over || !self.is_below(x) {
            self.subtract(x);
        }
    }
}

/// Adds a × factor; gives what does not fit.
fn add_product(sum: &mut [u64], a: &[u64], factor: u64) -> u64 {
    sum.iter_mut().zip(a).fold(0, |carry, (limb, a)| {
        let product = u128::from(*a) * u128::from(factor) + u128::from(*limb) + u128::from(carry);
        *limb = product as u64;
        (product >> 64) as u64
    })
}

fn carry_into(limbs: &mut [u64], carry: u64) {
    let (sum, over) = limbs[0].overflowing_add(carry);
    limbs[0] = sum;
    limbs[1] += u64::from(over);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(hex: &str) -> Vec<u8> {
        let dense: String = hex.split_whitespace().collect();
        let digits = dense.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    fn product(a: &[u8], b: &[u8]) -> Vec<u8> {
        let mut sum = vec![0u32; a.len() + b.len()];
        for (i, a) in a.iter().rev().enumerate() {
            let mut carry = 0;
            for (j, b) in b.iter().rev().chain(std::iter::repeat(&0)).take(sum.len() - i).enumerate() {
                let total = sum[i + j] + u32::from(*a) * u32::from(*b) + carry;
                (sum[i + j], carry) = (total & 0xff, total >> 8);
            }
        }
        let bytes = sum.iter().rev().map(|byte| *byte as u8);
        bytes.skip_while(|byte| *byte == 0).collect()
    }

    /// 2^521 - 1, 2^607 - 1 and 2^1279 - 1 are primes.
    fn mersenne(exponent: usize) -> Vec<u8> {
        let mut bytes = vec![0xff; exponent.div_ceil(8)];
        bytes[0] >>= 8 * bytes.len() - exponent;
        bytes
    }

    #[test]
    fn a_product_of_two_large_primes_has_no_flaw() {
        for (p, q) in [(521, 607), (607, 1279), (521, 1279), (1279, 2203), (2203, 3217)] {
            let n = product(&mersenne(p), &mersenne(q));
            assert_eq!((flaw(&n), is_prime(&n)), (None, false), "{p} {q}");
        }
        // 2^89 - 1 times 2^107 - 1.
        assert_eq!(flaw(&product(&mersenne(89), &mersenne(107))), None);
    }

    #[test]
    fn primes_are_found_out() {
        for exponent in [89, 107, 127, 521, 607, 1279, 2203] {
            assert!(is_prime(&mersenne(exponent)), "{exponent}");
        }
        // 2^255 - 19.
        let mut bytes = vec![0xff; 32];
        (bytes[0], bytes[31]) = (0x7f, 0xed);
        assert!(is_prime(&bytes));
    }

    #[test]
    fn powers_are_found_out_with_their_exponent() {
        let p = mersenne(607);
        let square = product(&p, &p);
        assert_eq!(flaw(&square), Some(ModulusFault::Power(2)));
        assert_eq!(flaw(&product(&square, &p)), Some(ModulusFault::Power(3)));
        assert_eq!(flaw(&product(&square, &square)), Some(ModulusFault::Power(2)));
        let fifth = (1..5).fold(mersenne(521), |power, _| product(&power, &mersenne(521)));
        assert_eq!(flaw(&fifth), Some(ModulusFault::Power(5)));
        // A square of what is itself no prime.
        let n = product(&mersenne(521), &p);
        assert_eq!(flaw(&product(&n, &n)), Some(ModulusFault::Power(2)));
        let long = (1..127).fold(number("010001"), |power, _| product(&power, &number("010001")));
        assert_eq!(flaw(&long), Some(ModulusFault::Power(127)));
    }

    #[test]
    fn the_smallest_factor_is_named_up_to_the_limit() {
        let p = mersenne(1279);
        for prime in [3u16, 5, 257, 65_519, 65_521] {
            assert_eq!(
                flaw(&product(&p, &prime.to_be_bytes())),
                Some(ModulusFault::SmallFactor(prime.into()))
            );
        }
        // 65537 is the first that is not looked for: as a factor it is no flaw of ours.
        assert_eq!(flaw(&product(&p, &number("010001"))), None);
    }
}
