//! Rounded numbers, bars and trends as short texts.

use std::time::Duration;

use crate::model::text::thousands;

/// An unknown value.
pub(super) const NONE: &str = "-";

/// A rate per second: `0.4`, `12`, `1,234`, `123k`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100,000")]
pub(super) fn rate(number: f64) -> String {
    match number {
        n if n < 9.95 => format!("{:.1}", n.max(0.0)),
        n if n < 99_999.5 => thousands(n.round() as u64),
        n if n < 99_999_500.0 => format!("{:.0}k", n / 1e3),
        n => format!("{:.0}M", n / 1e6),
    }
}

/// A number of users; from 10,000 millions on, in millions.
pub(super) fn users(number: u64) -> String {
    if number < 10_000_000_000 { thousands(number) } else { format!("{}M", thousands(number / 1_000_000)) }
}

/// A number of users in at most so many characters: in thousands or millions if needed.
pub(super) fn users_in(number: u64, chars: usize) -> String {
    let ways = [thousands(number), format!("{}k", thousands(number / 1_000))];
    let short = ways.into_iter().find(|text| text.len() <= chars);
    short.unwrap_or_else(|| format!("{}M", thousands(number / 1_000_000)))
}

/// A short time: `0.42 ms`, `12 ms`, `1.2 s`.
pub(super) fn latency(milliseconds: f64) -> String {
    match milliseconds {
        ms if ms < 9.995 => format!("{ms:.2} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1e3),
    }
}

/// A longer time: `0.4 s`, `12 s`, `3 min`, `2 h`, `5 d`.
pub(super) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 0.05 => "0 s".into(),
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} d", s / 86_400.0),
    }
}

/// The interval between two samples: `500 ms`, `2 s`.
pub(super) fn interval(length: Duration) -> String {
    match length.as_millis() {
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms if ms > 1000 => format!("{} s", length.as_secs_f64()),
        ms => format!("{ms} ms"),
    }
}

/// A share of 0 to 1 as a bar of exactly so many characters.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the width")]
pub(super) fn bar(share: f64, chars: usize, unicode: bool) -> String {
    let full =
        ((share.clamp(0.0, 1.0) * f64::from(u32::try_from(chars).unwrap_or(0))).round() as usize).min(chars);
    let (on, off) = if unicode { ("█", "░") } else { ("#", ".") };
    on.repeat(full) + &off.repeat(chars - full)
}

/// The last values as a line of so many characters, the newest at the right end, scaled to the highest. An unknown value
/// is a gap.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
pub(super) fn trend<'a>(
    values: impl DoubleEndedIterator<Item = &'a Option<f64>> + Clone,
    chars: usize,
    unicode: bool,
) -> String {
    let steps = if unicode { "▁▂▃▄▅▆▇█" } else { "_.-~=+*#" };
    let shown = values.rev().take(chars);
    let highest = shown.clone().flatten().fold(0.0_f64, |highest, value| highest.max(*value));
    let step = |value: &Option<f64>| {
        let Some(value) = value else { return ' ' };
        let part = if highest > 0.0 { (value / highest).clamp(0.0, 1.0) } else { 0.0 };
        steps.chars().nth((part * 7.0).round() as usize).unwrap_or(' ')
    };
    let line: Vec<char> = shown.map(step).collect();
    let line: String = line.into_iter().rev().collect();
    format!("{line:>chars$}")
}

/// The text, cut to so many characters with a sign at its end.
pub(super) fn cut(text: &str, chars: usize, unicode: bool) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    let sign = if unicode { '…' } else { '~' };
    text.chars().take(chars.saturating_sub(1)).chain(std::iter::once(sign)).take(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 9.94, 9.96, 1_234.4, 99_999.0, 123_456.0, 2e9].map(rate),
            ["0.0", "9.9", "10", "1,234", "99,999", "123k", "2000M"]
        );
        assert_eq!([0.421, 9.99, 10.4, 1_234.0].map(latency), ["0.42 ms", "9.99 ms", "10 ms", "1.2 s"]);
        assert_eq!(
            [0.0, 1.25, 59.6, 119.0, 600.0, 7_300.0, 1e6].map(span),
            ["0 s", "1.2 s", "60 s", "119 s", "10 min", "2 h", "12 d"]
        );
        let intervals = [250, 1_000, 1_500, 60_000].map(|ms| interval(Duration::from_millis(ms)));
        assert_eq!(intervals, ["250 ms", "1 s", "1.5 s", "60 s"]);
        assert_eq!([users(1_234_567), users(12_345_678_901)], ["1,234,567", "12,345M"]);
    }

    #[test]
    fn bars_and_trends_have_their_width() {
        assert_eq!(bar(0.5, 4, true), "██░░");
        assert_eq!(bar(7.0, 3, false), "###");
        assert_eq!(bar(f64::NAN, 3, false), "...");
        let values = [Some(0.0), None, Some(7.0), Some(3.5)];
        assert_eq!(trend(values.iter(), 6, true), "  ▁ █▅");
        assert_eq!(trend(values.iter(), 2, false), "#=");
        assert_eq!(trend([Some(0.0)].iter(), 2, true), " ▁");
        assert_eq!(cut("shard_12", 5, true), "shar…");
        assert_eq!(cut("shard_12", 8, false), "shard_12");
        assert_eq!(cut("x", 0, false), "");
    }
}
