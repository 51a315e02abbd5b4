//! Passwords, and what may hold one.

use std::fmt;

/// A text that must never be shown: it has no `Display`, so that forgetting to redact it does not
/// compile, and its `Debug` says nothing.
///
/// ```compile_fail
/// let secret = ringshard::model::secret::Secret::new("hunter2");
/// println!("{secret}");
/// ```
///
/// ```compile_fail
/// let secret = ringshard::model::secret::Secret::new("hunter2");
/// let text: String = secret.into();
/// ```
///
/// ```
/// let secret = ringshard::model::secret::Secret::new("hunter2");
/// assert_eq!(format!("{secret:?}"), "[redacted]");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text out of sight.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that must have it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
