//! What libpq takes from the surroundings when a URL leaves it out: `PG*` and the password file.
//!
//! After "Environment Variables" and "The Password File" of the PostgreSQL documentation.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::model::secret::Secret;

/// A variable that is set to something.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where the password file is.
fn password_file() -> Option<PathBuf> {
    variable("PGPASSFILE")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".pgpass")))
}

/// The password file, if it is ignored because others may read it.
pub(crate) fn ignored_password_file() -> Option<PathBuf> {
    let path = password_file()?;
    let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    (metadata.permissions().mode() & 0o077 != 0).then_some(path)
}

/// The password that the password file has for this connection, if the file is there and private.
pub(crate) fn password_from_file(host: &str, port: u16, database: &str, user: &str) -> Option<Secret> {
    let path = password_file()?;
    if ignored_password_file().is_some() {
        log::warn!("Ignored password file {}: others may read it (chmod 0600 it)", path.display());
        return None;
    }
    let text = fs::read_to_string(&path).ok()?;
    password_in(&text, [host, &port.to_string(), database, user])
}

fn password_in(text: &str, want: [&str; 4]) -> Option<Secret> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = split_fields(line);
        let (pattern, password) = (fields.get(..4)?, fields.get(4)?);
        let fits = pattern.iter().zip(want).all(|(pattern, want)| pattern == "*" || pattern == want);
        fits.then(|| Secret::new(password))
    })
}

/// The fields of a line: between colons, where `\:` and `\\` stand for themselves.
fn split_fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' => fields.push(String::new()),
            '\\' => fields.last_mut().expect("never empty").extend(chars.next()),
            c => fields.last_mut().expect("never empty").push(c),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_gives_the_password() {
        let text = "# a comment\nh:5432:db:u:one\nh:*:*:u:t\\:w\\\\o\n*:*:*:*:three\nbroken";
        for (want, password) in [
            (["h", "5432", "db", "u"], "one"),
            (["h", "5433", "db", "u"], "t:w\\o"),
            (["x", "1", "y", "z"], "three"),
        ] {
            assert_eq!(password_in(text, want), Some(Secret::new(password)));
        }
        assert_eq!(password_in("h:1:d:u:p", ["h", "2", "d", "u"]), None);
    }
}
