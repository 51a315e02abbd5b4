//! The keys of a load: which users there are, and with which distribution they are chosen.

use super::random::Stream;
use crate::model::user::{User, UserId};

/// How keys are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// All with the same probability.
    Uniform,
    /// A few most often: the n-th with a probability proportional to 1/n.
    Zipf,
    /// One after the other.
    Sequential,
}

/// Chooses an index below `count`; `turn` is the number of earlier calls.
pub fn draw(choice: Choice, count: u64, turn: u64, stream: &mut Stream) -> u64 {
    match choice {
        _ if count == 0 => 0,
        Choice::Uniform => stream.below(count),
        Choice::Sequential => turn % count,
        Choice::Zipf => zipf(count, stream) - 1,
    }
}

/// A rank from 1 to `count` with a likelihood in proportion to 1/rank: rejection-inversion (Hörmann and Derflinger
/// 1996), for the exponent 1, of which the logarithm is the integral.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank is drawn; to more than 2⁵³ keys it may be off by one"
)]
fn zipf(count: u64, stream: &mut Stream) -> u64 {
    let integral = |x: f64| x.ln();
    let (low, high) = (integral(1.5) - 1.0, integral(count as f64 + 0.5));
    loop {
        let drawn = low + stream.unit() * (high - low);
        let x = drawn.exp();
        let rank = x.round().clamp(1.0, count as f64);
        if drawn >= integral(rank + 0.5) - 1.0 / rank {
            return rank as u64;
        }
    }
}

/// The fingerprint of a user: of the fields that a load never changes, and of the one that it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Of the name and the region.
    pub lasting: u32,
    /// Of the email.
    pub changing: u32,
}

impl Fingerprint {
    /// Of this user.
    pub fn of(user: &User) -> Self {
        let lasting = fold(fold(FNV_BASIS, user.name.as_deref()), user.region.as_deref());
        Self { lasting: short(lasting), changing: short(fold(FNV_BASIS, user.email.as_deref())) }
    }
}

const FNV_BASIS: u64 = 0xCBF2_9CE4_8422_2325;

/// FNV-1a, with a byte before each text for NULL or not.
fn fold(hash: u64, text: Option<&str>) -> u64 {
    let bytes = std::iter::once(u8::from(text.is_some())).chain(text.unwrap_or_default().bytes());
    bytes.fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

#[expect(clippy::cast_possible_truncation, reason = "the halves, one on the other")]
const fn short(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

/// The users that existed when the run began, by id.
#[derive(Debug, Default)]
pub struct ExistingKeys {
    /// Runs of consecutive ids: the first id, and its index.
    runs: Vec<(i64, usize)>,
    prints: Vec<Fingerprint>,
    /// The indexes of the users that load made.
    made: Vec<u32>,
    last: Option<i64>,
}

impl ExistingKeys {
    /// Adds the next user; ids come in order.
    pub fn push(&mut self, user: &User) {
        let id = user.user_id.number();
        if self.last.is_none_or(|last| last.checked_add(1) != Some(id)) {
            self.runs.push((id, self.prints.len()));
        }
        self.last = Some(id);
        if super::fake_users::is_synthetic(user.email.as_deref()) {
            // Each takes more than one byte of memory.
            self.made.extend(u32::try_from(self.prints.len()));
        }
        self.prints.push(Fingerprint::of(user));
    }

    /// Their number.
    pub fn len(&self) -> usize {
        self.prints.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.prints.is_empty()
    }

    /// How many of them load has made, which a run may change.
    pub fn made(&self) -> usize {
        self.made.len()
    }

    /// The id of one that load has made, by an index less than [`Self::made`].
    pub fn made_id(&self, place: usize) -> UserId {
        self.id(self.made[place] as usize)
    }

    /// Whether the user existed when the run began, and load has not made it.
    pub fn is_stranger(&self, id: UserId) -> bool {
        self.place(id).is_some_and(|place| {
            u32::try_from(place).is_ok_and(|place| self.made.binary_search(&place).is_err())
        })
    }

    /// The id at an index less than [`Self::len`].
    pub fn id(&self, place: usize) -> UserId {
        let run = self.runs.partition_point(|(_, from)| *from <= place) - 1;
        let (first, from) = self.runs[run];
        UserId::new(first + i64::try_from(place - from).expect("ids without a gap"))
    }

    /// The fingerprint of a user when the run began.
    pub fn print(&self, id: UserId) -> Option<Fingerprint> {
        self.place(id).map(|place| self.prints[place])
    }

    fn place(&self, id: UserId) -> Option<usize> {
        let run = self.runs.partition_point(|(first, _)| *first <= id.number()).checked_sub(1)?;
        let (first, from) = self.runs[run];
        let end = self.runs.get(run + 1).map_or(self.prints.len(), |(_, from)| *from);
        let place = usize::try_from(id.number().checked_sub(first)?).ok()?.checked_add(from)?;
        (place < end).then_some(place)
    }
}
