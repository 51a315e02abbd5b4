//! The connection service file: `service=NAME`, `PGSERVICE`, `~/.pg_service.conf`.
//!
//! Follows 34.17 ("The Connection Service File") of the PostgreSQL documentation, and libpq where that is silent: of equal
//! keywords the first one counts, and blanks around `=` are not removed. A value may be a password, so no message quotes one.

use std::fs;
use std::path::{Path, PathBuf};

use super::environment;
use crate::error::{Error, Kind, Result};

const FILE_NAME: &str = "pg_service.conf";
/// Where `pg_service.conf` is if `PGSYSCONFDIR` is not set: Debian, Red Hat, the default of a build from source, Homebrew.
const SYSTEM_FOLDERS: [&str; 5] = [
    "/etc/postgresql-common",
    "/etc/sysconfig/pgsql",
    "/usr/local/pgsql/etc",
    "/opt/homebrew/etc/postgresql",
    "/usr/local/etc/postgresql",
];

/// A line `KEYWORD=VALUE` of a service.
pub(crate) struct Setting {
    pub(crate) keyword: String,
    pub(crate) value: String,
    file: PathBuf,
    line: usize,
}

impl Setting {
    /// The error for a setting that is not accepted.
    pub(crate) fn error(&self, why: &str) -> Error {
        wrong_line(&self.file, self.line, why)
    }
}

/// The service that the environment names.
pub(crate) fn of_environment() -> Result<Option<String>> {
    environment::text_variable("PGSERVICE")
}

/// The settings of a service, from the first file that defines it: the user's, then the system's.
pub(crate) fn settings(name: &str) -> Result<Vec<Setting>> {
    let named = environment::raw_variable("PGSERVICEFILE").map(PathBuf::from);
    let is_named = named.is_some();
    let of_user = named.or_else(|| Some(environment::home()?.join(format!(".{FILE_NAME}"))));
    let folder = environment::raw_variable("PGSYSCONFDIR").map(PathBuf::from);
    let folders = folder.map_or_else(|| SYSTEM_FOLDERS.iter().map(PathBuf::from).collect(), |one| vec![one]);
    let of_system = folders.into_iter().map(|folder| folder.join(FILE_NAME)).find(|path| path.exists());
    let mut searched = Vec::new();
    for (path, must_exist) in [(of_user, is_named), (of_system, false)] {
        let Some(path) = path.filter(|path| must_exist || path.exists()) else { continue };
        let bytes = fs::read(&path).map_err(|cause| {
            let message = format!("cannot read the service file `{}`: {cause}", path.display());
            let hint = if must_exist { "correct PGSERVICEFILE" } else { "make that file readable" };
            Error::new(Kind::Configuration, message).hint(hint)
        })?;
        if let Some(found) = find(&bytes, name, &path)? {
            return Ok(found);
        }
        searched.push(format!("`{}`", path.display()));
    }
    let place = match searched.as_slice() {
        [] => "there is no service file".to_owned(),
        files => format!("it is not in {}", files.join(" or ")),
    };
    let message = format!("the definition of the service `{name}` was not found: {place}");
    Err(Error::new(Kind::Configuration, message).hint(format!(
        "write `[{name}]` with lines such as `host=HOST` into ~/.{FILE_NAME}, or correct the name in `service` or PGSERVICE"
    )))
}

/// The settings of a service, if this file defines it. Of other sections nothing is read.
fn find(bytes: &[u8], name: &str, path: &Path) -> Result<Option<Vec<Setting>>> {
    let header = format!("[{name}]");
    let mut found: Option<Vec<Setting>> = None;
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let wrong = |why: &str| wrong_line(path, at + 1, why);
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        match &mut found {
            Some(_) if line.starts_with(b"[") => break,
            None if line.starts_with(header.as_bytes()) => found = Some(Vec::new()),
            None => {}
            Some(settings) => {
                let line = std::str::from_utf8(line).map_err(|_| wrong("it is not UTF-8"))?;
                if line.starts_with("ldap") {
                    return Err(wrong("ringshard asks no LDAP server"));
                }
                let (keyword, value) = line.split_once('=').ok_or_else(|| wrong("it has no `=`"))?;
                if keyword == "service" {
                    return Err(wrong("a service cannot name another service"));
                }
                let (keyword, value) = (keyword.to_owned(), value.to_owned());
                settings.push(Setting { keyword, value, file: path.to_owned(), line: at + 1 });
            }
        }
    }
    Ok(found)
}

fn wrong_line(path: &Path, line: usize, why: &str) -> Error {
    let message = format!("error in the service file `{}`, line {line}: {why}", path.display());
    Error::new(Kind::Configuration, message)
        .hint("correct that line, as `KEYWORD=VALUE` without blanks around `=`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &[u8]) -> Result<Option<Vec<(String, String)>>> {
        let settings = find(text, "mine", Path::new("f"))?;
        Ok(settings.map(|all| all.into_iter().map(|one| (one.keyword, one.value)).collect()))
    }

    #[test]
    fn only_the_section_of_the_service_is_read() {
        let text = b"x\xfc\n[other]\nhost=a\nnonsense\n[mine]\r\n  host=b \n\n# a comment\nport=1=2\n[next]\nhost=c\n[mine]\nuser=u";
        let expected = [("host", "b"), ("port", "1=2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(found(text).unwrap().unwrap(), expected);
        assert_eq!(found(b"[mine2]\nhost=a\n[ mine]\nhost=b").unwrap(), None);
        assert_eq!(found(b"[mine]").unwrap().unwrap(), []);
    }

    #[test]
    fn an_error_names_the_line_and_no_value() {
        for (text, expected) in [
            (&b"[mine]\nhost=h\npassword hunter2"[..], "line 3: it has no `=`"),
            (b"[mine]\nservice=hunter2", "line 2: a service cannot name another"),
            (b"[mine]\npassword=hunter2\xfc", "line 2: it is not UTF-8"),
            (b"[mine]\nldap://hunter2/dc=x", "line 2: ringshard asks no LDAP"),
        ] {
            let error = found(text).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"));
            assert_eq!(error.kind(), Kind::Configuration);
        }
    }
}
