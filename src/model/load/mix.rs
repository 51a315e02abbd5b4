//! The mix of a load: its operations, and how often each comes.

use std::fmt;
use std::str::FromStr;

use super::random::Stream;

/// What a client does with a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoadOperation {
    /// Reads it.
    Get,
    /// Stores a new one.
    Create,
    /// Changes its email.
    Update,
    /// Deletes it.
    Delete,
}

impl LoadOperation {
    /// All operations, in the order of display.
    pub const ALL: [Self; 4] = [Self::Get, Self::Create, Self::Update, Self::Delete];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// Its index in [`Self::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The weights of the operations; their sum is more than zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix([u32; 4]);

impl Mix {
    /// The largest weight: their sum is still a number that can be drawn from.
    const WEIGHT_MAX: u32 = 1_000_000;

    /// How often this one comes, as a part of the sum of all weights.
    pub const fn weight(&self, operation: LoadOperation) -> u32 {
        self.0[operation.index()]
    }

    /// Draws an operation.
    pub fn draw(&self, stream: &mut Stream) -> LoadOperation {
        let mut at = stream.below(self.0.iter().copied().map(u64::from).sum());
        for operation in LoadOperation::ALL {
            let weight = u64::from(self.weight(operation));
            if at < weight {
                return operation;
            }
            at -= weight;
        }
        unreachable!("what is drawn is less than the sum of the weights")
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self([80, 15, 5, 0])
    }
}

/// `get=80,create=15,update=5`; what is not named does not come.
impl FromStr for Mix {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        let mut weights = [None; 4];
        for part in words.split(',') {
            let (name, weight) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is not OPERATION=WEIGHT, such as `get=80`"))?;
            let operation = LoadOperation::ALL.into_iter().find(|operation| operation.name() == name);
            let operation =
                operation.ok_or_else(|| format!("`{name}` is not get, create, update or delete"))?;
            let number =
                weight.parse().ok().filter(|weight| *weight <= Self::WEIGHT_MAX).ok_or_else(|| {
                    format!("the weight `{weight}` is not a whole number from 0 to {}", Self::WEIGHT_MAX)
                })?;
            if weights[operation.index()].replace(number).is_some() {
                return Err(format!("`{name}` is named twice"));
            }
        }
        let weights = weights.map(Option::unwrap_or_default);
        if weights.iter().all(|weight| *weight == 0) {
            return Err("all weights are zero".into());
        }
        Ok(Self(weights))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for operation in LoadOperation::ALL.into_iter().filter(|operation| self.weight(*operation) > 0) {
            write!(f, "{between}{}={}", operation.name(), self.weight(operation))?;
            between = ",";
        }
        Ok(())
    }
}
