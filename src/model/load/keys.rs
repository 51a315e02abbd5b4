//! Which users there are to work with, and in what order or with what likelihood they are touched.

use super::random::Stream;
use crate::model::user::{User, UserId};

/// How keys are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Each is as likely as the others.
    Uniform,
    /// A few are touched most: the n-th with a likelihood in proportion to 1/n.
    Zipf,
    /// One after the other.
    Sequential,
}

/// Draws a place among `count` keys, from 0 on; `turn` is how often this was asked before.
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

/// What is compared of a user, in a few bytes: the parts that a load never changes, and the one that it does.
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

/// FNV-1a, with a byte before each text that says whether it is there.
fn fold(hash: u64, text: Option<&str>) -> u64 {
    let bytes = std::iter::once(u8::from(text.is_some())).chain(text.unwrap_or_default().bytes());
    bytes.fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

#[expect(clippy::cast_possible_truncation, reason = "the halves, one on the other")]
const fn short(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

/// The users that were there when the run began, by id.
#[derive(Debug, Default)]
pub struct ExistingKeys {
    /// Ids without a gap: the first of them, and the place of the first.
    runs: Vec<(i64, usize)>,
    prints: Vec<Fingerprint>,
    strangers: u64,
    last: Option<i64>,
}

impl ExistingKeys {
    /// Takes in the next user; ids come in order.
    pub fn push(&mut self, user: &User) {
        let id = user.user_id.number();
        if self.last.is_none_or(|last| last.checked_add(1) != Some(id)) {
            self.runs.push((id, self.prints.len()));
        }
        self.last = Some(id);
        self.prints.push(Fingerprint::of(user));
        self.strangers += u64::from(!super::fake_users::is_synthetic(user.email.as_deref()));
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.prints.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.prints.is_empty()
    }

    /// How many of them no load has made. If there are any, all are only read.
    pub fn strangers(&self) -> u64 {
        self.strangers
    }

    /// The id at a place, which is less than [`Self::len`].
    pub fn id(&self, place: usize) -> UserId {
        let run = self.runs.partition_point(|(_, from)| *from <= place) - 1;
        let (first, from) = self.runs[run];
        UserId::new(first + i64::try_from(place - from).expect("ids without a gap"))
    }

    /// What a user was like when the run began.
    pub fn print(&self, id: UserId) -> Option<Fingerprint> {
        let run = self.runs.partition_point(|(first, _)| *first <= id.number()).checked_sub(1)?;
        let (first, from) = self.runs[run];
        let end = self.runs.get(run + 1).map_or(self.prints.len(), |(_, from)| *from);
        let place = usize::try_from(id.number().checked_sub(first)?).ok()?.checked_add(from)?;
        (place < end).then(|| self.prints[place])
    }
}
