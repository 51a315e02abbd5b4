//! A type for passwords, and for texts that may hold one.

use std::fmt;

/// A text that must never be shown: it has no `Display`, so that showing it does not compile, and its `Debug` is redacted.
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
pub struct Secret<T = String>(T);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the few places that need it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Secret<Vec<u8>> {
    /// Wraps a password that may be no UTF-8.
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for connecting.
    pub fn expose_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
