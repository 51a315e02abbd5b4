//! Users: the data model of the Python prototype, with the limits of its columns.

use std::fmt;
use std::str::{FromStr, Utf8Error};

/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 100;
/// The longest region, in characters.
pub const REGION_CHARS_MAX: usize = 50;
/// The longest email, in characters.
pub const EMAIL_CHARS_MAX: usize = 100;

/// A user's id, the key that decides the shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(i64);

impl UserId {
    /// The user with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The id as Postgres stores it.
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for UserId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|_| format!("a user id is a whole number from {} to {}, in decimal", i64::MIN, i64::MAX))
    }
}

/// Checks that a text fits into a column of `chars_max` characters; fails with the reason.
pub fn check_text(text: &str, chars_max: usize) -> Result<(), String> {
    // A character has at least one byte.
    if text.len() > chars_max {
        let chars = text.chars().count();
        if chars > chars_max {
            return Err(format!("{chars} characters, and the column holds {chars_max}"));
        }
    }
    if text.contains('\0') {
        return Err("a NUL character, which Postgres cannot store".into());
    }
    Ok(())
}

/// A text of at most `MAX` characters without NUL, which Postgres cannot store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited<const MAX: usize>(String);

impl<const MAX: usize> Limited<MAX> {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> FromStr for Limited<MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        check_text(text, MAX).map(|()| Self(text.into()))
    }
}

/// A user's name.
pub type Name = Limited<NAME_CHARS_MAX>;
/// A user's region, such as `EU`.
pub type Region = Limited<REGION_CHARS_MAX>;
/// A user's email address. Its form is not checked, as in the Python prototype.
pub type Email = Limited<EMAIL_CHARS_MAX>;

/// A user as stored. Rows of other programs may lack any field but the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The key.
    pub user_id: UserId,
    /// At most 100 characters.
    pub name: Option<String>,
    /// At most 50 characters.
    pub region: Option<String>,
    /// At most 100 characters.
    pub email: Option<String>,
}

impl User {
    /// The flags that set its fields, with a blank before each, quoted for a shell.
    pub fn flags(&self) -> String {
        let fields = [("name", &self.name), ("region", &self.region), ("email", &self.email)];
        let flag = |(field, value): (&str, &Option<String>)| {
            Some(format!(" --{field} {}", shlex::try_quote(value.as_deref()?).ok()?))
        };
        fields.into_iter().filter_map(flag).collect()
    }
}

/// A user with borrowed texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserRef<'a> {
    /// The key.
    pub user_id: UserId,
    /// At most 100 characters.
    pub name: Option<&'a str>,
    /// At most 50 characters.
    pub region: Option<&'a str>,
    /// At most 100 characters.
    pub email: Option<&'a str>,
}

/// A user of a row, whose bytes are not checked to be UTF-8 yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserBytes<'a> {
    /// The key.
    pub user_id: UserId,
    /// At most 100 characters.
    pub name: Option<&'a [u8]>,
    /// At most 50 characters.
    pub region: Option<&'a [u8]>,
    /// At most 100 characters.
    pub email: Option<&'a [u8]>,
}

impl UserBytes<'_> {
    /// With owned texts; fails if they are not UTF-8.
    pub fn to_user(self) -> Result<User, Utf8Error> {
        let own = |bytes: Option<&[u8]>| bytes.map(|bytes| str::from_utf8(bytes).map(Into::into)).transpose();
        Ok(User {
            user_id: self.user_id,
            name: own(self.name)?,
            region: own(self.region)?,
            email: own(self.email)?,
        })
    }
}

impl<'a> UserRef<'a> {
    /// As bytes.
    pub fn bytes(self) -> UserBytes<'a> {
        let of = |text: Option<&'a str>| text.map(str::as_bytes);
        UserBytes {
            user_id: self.user_id,
            name: of(self.name),
            region: of(self.region),
            email: of(self.email),
        }
    }

    /// With owned texts.
    pub fn to_user(self) -> User {
        let own = |text: Option<&str>| text.map(ToOwned::to_owned);
        User { user_id: self.user_id, name: own(self.name), region: own(self.region), email: own(self.email) }
    }
}

/// What an update sets: `None` keeps a field, `Some(None)` sets it to NULL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserPatch {
    /// The new name.
    pub name: Option<Name>,
    /// The new region.
    pub region: Option<Option<Region>>,
    /// The new email.
    pub email: Option<Option<Email>>,
}

impl UserPatch {
    /// Whether it sets nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a user already has the values of this patch.
    pub fn holds_for(&self, user: &User) -> bool {
        fn same<const MAX: usize>(want: Option<&Option<Limited<MAX>>>, have: Option<&str>) -> bool {
            want.is_none_or(|want| want.as_ref().map(Limited::as_str) == have)
        }
        self.name.as_ref().is_none_or(|name| Some(name.as_str()) == user.name.as_deref())
            && same(self.region.as_ref(), user.region.as_deref())
            && same(self.email.as_ref(), user.email.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_count_characters_not_bytes() {
        assert!("é".repeat(NAME_CHARS_MAX).parse::<Name>().is_ok());
        assert!("é".repeat(NAME_CHARS_MAX + 1).parse::<Name>().is_err());
        assert!("a\0b".parse::<Email>().is_err());
        assert!("".parse::<Region>().is_ok());
    }

    #[test]
    fn ids_cover_the_column_and_nothing_else() {
        for good in ["0", "-7", "9223372036854775807", "-9223372036854775808"] {
            assert_eq!(good.parse::<UserId>().unwrap().to_string(), good);
        }
        for bad in ["", "x", "1.0", "9223372036854775808", " 1", "0x10", "１"] {
            assert!(bad.parse::<UserId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_patch_knows_whether_it_holds() {
        let user = User { user_id: UserId::new(1), name: Some("A".into()), region: None, email: None };
        let mut patch = UserPatch { name: Some("A".parse().unwrap()), ..UserPatch::default() };
        assert!(patch.holds_for(&user));
        patch.region = Some(None);
        assert!(patch.holds_for(&user));
        patch.email = Some(Some("e".parse().unwrap()));
        assert!(!patch.holds_for(&user));
    }
}
