//! Text within markup, and numbers as both readers and browsers like them.

use std::fmt::Write as _;

use crate::model::text::visible;

/// A text as content or as the value of an attribute, in XML and HTML. What would not be seen is made visible, so that
/// no character is left that XML does not know.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The same, cut to so many characters.
pub(super) fn shortened(text: &str, characters_max: usize) -> String {
    let text = visible(text);
    if text.chars().count() <= characters_max {
        return escaped(&text);
    }
    let kept: String = text.chars().take(characters_max.saturating_sub(1)).collect();
    escaped(&kept) + "…"
}

/// A part of a whole, 0 to 1.
pub(super) fn percent(part: f64) -> String {
    format!("{:.2} %", part * 100.0)
}

/// A coordinate, with as many decimal places as can be seen.
pub(super) fn number(coordinate: f64) -> String {
    let mut text = String::new();
    // Never `-0`.
    let rounded = (coordinate * 100.0).round() / 100.0 + 0.0;
    write!(text, "{rounded}").expect("a string takes all");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_end_what_it_stands_in() {
        assert_eq!(
            escaped("</title><script>alert(\"x\" + 'y')</script>&amp;"),
            "&lt;/title&gt;&lt;script&gt;alert(&quot;x&quot; + &#39;y&#39;)&lt;/script&gt;&amp;amp;"
        );
        assert_eq!(escaped("a\0b\u{1b}[31m\u{202e}\u{ffff}\r\n"), "a\\x00b\\x1b[31m\\u{202e}\u{fffd}\\r\\n");
        assert_eq!(shortened("<<<<<", 3), "&lt;&lt;…");
        assert_eq!(shortened("äöü", 3), "äöü");
    }

    #[test]
    fn coordinates_are_short() {
        for (coordinate, text) in
            [(0.0, "0"), (-0.001, "0"), (1.005, "1"), (-12.346, "-12.35"), (200.0, "200")]
        {
            assert_eq!(number(coordinate), text);
        }
    }
}
