//! The values that libpq uses where a URL has none: `PG*` variables and the password file.
//!
//! Follows "Environment Variables" and "The Password File" of the PostgreSQL documentation.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::model::secret::Secret;

/// The value of a variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The path of the password file; it may not exist.
fn password_file() -> Option<PathBuf> {
    variable("PGPASSFILE")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".pgpass")))
}

/// The path of the password file, if the file is ignored because other users may read it.
pub(crate) fn ignored_password_file() -> Option<PathBuf> {
    let path = password_file()?;
    let metadata = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    (metadata.permissions().mode() & 0o077 != 0).then_some(path)
}

/// The password for this connection from the password file, if the file exists and is private.
pub(crate) fn password_from_file(host: &str, port: u16, database: &str, user: &str) -> Option<Secret> {
    let path = password_file()?;
    if ignored_password_file().is_some() {
        log::warn!("Ignored password file {}: others may read it (chmod 0600 it)", path.display());
        return None;
    }
    let text = fs::read_to_string(&path).ok()?;
    password_in(&text, [host, &port.to_string(), database, user])
}

fn password_in(text: &str, wanted: [&str; 4]) -> Option<Secret> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = split_fields(line);
        let (pattern, password) = (fields.get(..4)?, fields.get(4)?);
        let matches = pattern.iter().zip(wanted).all(|(pattern, wanted)| pattern == "*" || pattern == wanted);
        matches.then(|| Secret::new(password))
    })
}

/// The fields of a line, separated by colons; `\:` and `\\` are a colon and a backslash.
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
    fn the_first_matching_line_gives_the_password() {
        let text = "# a comment\nh:5432:db:u:one\nh:*:*:u:t\\:w\\\\o\n*:*:*:*:three\nbroken";
        for (wanted, password) in [
            (["h", "5432", "db", "u"], "one"),
            (["h", "5433", "db", "u"], "t:w\\o"),
            (["x", "1", "y", "z"], "three"),
        ] {
            assert_eq!(password_in(text, wanted), Some(Secret::new(password)));
        }
        assert_eq!(password_in("h:1:d:u:p", ["h", "2", "d", "u"]), None);
    }
}
