//! Numbers that look random and follow from a seed: splitmix64 (Steele, Lea and Flood, "Fast splittable
//! pseudorandom number generators", 2014).

/// The golden ratio as a fraction of 2⁶⁴.
const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// A number that depends on each bit of another one.
pub const fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// A stream of numbers. Two streams of different seeds or names have nothing in common.
#[derive(Debug, Clone)]
pub struct Stream(u64);

impl Stream {
    /// The stream of this name among those of a seed.
    pub const fn new(seed: u64, name: u64) -> Self {
        Self(mixed(seed.wrapping_add(GAMMA)) ^ mixed(name.wrapping_mul(GAMMA).wrapping_add(1)))
    }

    /// The next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mixed(self.0)
    }

    /// The next number below a limit; 0 if that is 0. The bias is at most `limit / 2⁶⁴` (Lemire 2019, without
    /// the rejection).
    pub const fn below(&mut self, limit: u64) -> u64 {
        ((self.bits() as u128 * limit as u128) >> 64) as u64
    }

    /// The next number from 0 (included) to 1 (excluded).
    #[expect(clippy::cast_precision_loss, reason = "53 bits, which an f64 holds")]
    pub const fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
