//! Values as Python's `repr` writes them, for the log lines of the Python prototype.

use std::fmt::Write as _;

use super::user::User;

/// `repr(text)`: in single quotes, unless the text has some and no double quotes; control characters are escaped.
pub fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => write!(out, "\\x{:02x}", c as u32).expect("a string takes all"),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// `repr` of a list of texts: `['shard_1', 'shard_2']`.
pub fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| repr(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// `user.dict()` of the prototype's model: `{'user_id': 1, 'name': 'Alice', 'region': None, 'email': None}`.
pub fn dict(user: &User) -> String {
    let text = |field: &Option<String>| field.as_deref().map_or_else(|| "None".into(), repr);
    format!(
        "{{'user_id': {}, 'name': {}, 'region': {}, 'email': {}}}",
        user.user_id,
        text(&user.name),
        text(&user.region),
        text(&user.email)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_python_does() {
        for (text, python) in [
            ("Alice", "'Alice'"),
            ("O'Brien", "\"O'Brien\""),
            ("'\"", "'\\'\"'"),
            ("a\\b\n", "'a\\\\b\\n'"),
            ("\x1b[31m", "'\\x1b[31m'"),
            ("é", "'é'"),
        ] {
            assert_eq!(repr(text), python);
        }
        assert_eq!(list(["shard_1", "shard_2"]), "['shard_1', 'shard_2']");
    }
}
