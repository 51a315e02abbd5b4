//! Text that is safe to show: control characters are escaped, so that data never controls a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Whether a character could move the cursor, change colors or reorder the text around it.
fn is_unsafe(c: char) -> bool {
    // Both sets of control characters, then invisible ones: bidirectional controls, line separators, zero-width spaces
    // (but not the joiners, which emoji and scripts need), tags.
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// A time in seconds since 1970 in the format of RFC 3339, in UTC: `2026-11-25T03:12:45Z`.
pub fn timestamp(seconds: u64) -> String {
    let moment = i64::try_from(seconds).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_else(|| "unknown".into())
}

/// A number of bytes, in units of 1024: `999 B`, `1.2 KiB`, `12 MiB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(number: u64) -> String {
    fractional_bytes(number as f64)
}

/// The same for a rate or an average.
pub fn fractional_bytes(number: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut rest = number.max(0.0);
    let mut at = 0;
    while rest >= 999.5 && at + 1 < units.len() {
        rest /= 1024.0;
        at += 1;
    }
    let places = usize::from(at > 0 && rest < 9.95);
    format!("{rest:.places$} {}", units[at])
}

/// The text with each unsafe character as an escape: `\n`, `\t`, `\r`, `\x1b`, `\u{202e}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    escape(text, is_unsafe)
}

/// As [`visible`], but line breaks and tabs stay, for messages of several lines.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| is_unsafe(c) && c != '\n' && c != '\t')
}

fn escape(text: &str, hide: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hide) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if !hide(c) => out.push(c),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if (c as u32) < 0x100 => write!(out, "\\x{:02x}", c as u32).expect("a string takes all"),
            c => write!(out, "\\u{{{:x}}}", c as u32).expect("a string takes all"),
        }
    }
    Cow::Owned(out)
}

/// The text with the passwords of URLs (`//user:password@`) and of `password=value` redacted, for quoting input that was
/// not understood.
pub fn redacted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        out.push_str(before);
        let end = url.find(|c: char| c.is_whitespace() || c == '`').unwrap_or(url.len());
        let (url, after) = url.split_at(end);
        // The last `@`, as a password may have an unescaped one.
        match url.rsplit_once('@') {
            Some((userinfo, host)) if userinfo.contains([':', '@']) => {
                let user = userinfo.split([':', '@']).next().unwrap_or_default();
                out.extend([user, ":[redacted]@", host]);
            }
            _ => out.push_str(&without_host(url)),
        }
        rest = after;
    }
    out.push_str(rest);
    without_keywords(&out)
}

/// Redacts a URL without `@`: the text after the colon may be a port, or a password without a host.
fn without_host(url: &str) -> Cow<'_, str> {
    let authority = url.find(['/', '?', '\'', '"']).map_or(url, |end| &url[..end]);
    let is_port = |port: &str| port.chars().all(|c| c.is_ascii_digit());
    let is_place =
        |host: &str| host.starts_with('[') || host.rsplit_once(':').is_none_or(|(_, port)| is_port(port));
    match authority.split_once(':') {
        Some((user, _)) if !authority.split(',').all(is_place) => {
            Cow::Owned(format!("{user}:[redacted]{}", &url[authority.len()..]))
        }
        _ => Cow::Borrowed(url),
    }
}

/// Redacts the values of `password = value`, quoted or not, with or without spaces.
fn without_keywords(text: &str) -> String {
    const KEYWORD: &str = "password";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.to_ascii_lowercase().find(KEYWORD) {
        let (before, after) = rest.split_at(at + KEYWORD.len());
        out.push_str(before);
        rest = after;
        let Some(value) = after.trim_start().strip_prefix('=') else { continue };
        let value = value.trim_start();
        out.push_str(&after[..after.len() - value.len()]);
        out.push_str("[redacted]");
        let end = match value.chars().next() {
            Some(quote @ ('\'' | '"')) => value[1..].find(quote).map_or(value.len(), |end| end + 2),
            _ => value.find(|c: char| c.is_whitespace() || c == '`' || c == '&').unwrap_or(value.len()),
        };
        rest = &value[end..];
    }
    out + rest
}

/// A number with a comma after each third digit from the right: `1,048,576`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of things: `1 user`, `2,000 users`.
pub fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", thousands(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_in_utc() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(1_795_575_165), "2026-11-25T02:52:45Z");
        assert_eq!(timestamp(u64::MAX), "unknown");
    }

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(visible("plain é 漢"), "plain é 漢");
        assert_eq!(visible("a\x1b[31m\n\u{202e}\u{9b}\x7f"), "a\\x1b[31m\\n\\u{202e}\\x9b\\x7f");
        assert_eq!(visible_lines("a\nb\x07"), "a\nb\\x07");
    }

    #[test]
    fn passwords_are_blotted_out() {
        for (text, safe) in [
            ("'postgresql://u:hunter2@h/db' is", "'postgresql://u:[redacted]@h/db' is"),
            ("x=postgresql://u:hun@ter2@h/db", "x=postgresql://u:[redacted]@h/db"),
            ("postgresql://u@h/db", "postgresql://u@h/db"),
            ("https://example.com", "https://example.com"),
            ("host=h password=hunter2 user=u", "host=h password=[redacted] user=u"),
            ("a://b:c@d e://f:g@h", "a://b:[redacted]@d e://f:[redacted]@h"),
            ("host=h Password = hunter2 user=u", "host=h Password = [redacted] user=u"),
            ("\"host=h password='hun ter2' dbname=d\"", "\"host=h password=[redacted] dbname=d\""),
            ("password='hun ter2", "password=[redacted]"),
            (
                "the password of u: password=a password=b",
                "the password of u: password=[redacted] password=[redacted]",
            ),
            ("postgresql://u:hunter2", "postgresql://u:[redacted]"),
            ("postgresql://u:hunter2/db", "postgresql://u:[redacted]/db"),
            ("postgresql://h:5432/db http://[::1]:80", "postgresql://h:5432/db http://[::1]:80"),
            ("postgresql://h:1,i:2/db", "postgresql://h:1,i:2/db"),
        ] {
            assert_eq!(redacted(text), safe);
        }
    }

    #[test]
    fn things_are_counted() {
        assert_eq!(counted(0, "user"), "0 users");
        assert_eq!(counted(1, "user"), "1 user");
        assert_eq!(counted(2_000, "user"), "2,000 users");
    }

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_048_576, "1,048,576")] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn bytes_have_units_of_1024() {
        let sizes = [0, 999, 1_000, 10_188, 12_345, 1_023_590, 1_500_000_000, 4_000_000_000_000_000_000];
        assert_eq!(
            sizes.map(bytes),
            ["0 B", "999 B", "1.0 KiB", "9.9 KiB", "12 KiB", "1.0 MiB", "1.4 GiB", "3553 PiB"]
        );
        assert_eq!([f64::NAN, -1.0, 0.4].map(fractional_bytes), ["0 B", "0 B", "0 B"]);
    }
}
