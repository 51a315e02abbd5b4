//! Parses durations: `500ms`, `10s`, `2m`, `1h`.

// From `core`, which has no clock.
use core::time::Duration;

/// The units, each in seconds.
const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
/// The longest duration: a year.
const SECONDS_MAX: f64 = 366.0 * 24.0 * 3600.0;

/// Parses a number, which may have decimal places, and a unit; more than zero and at most a year. The error does not quote
/// the input, as clap adds it.
pub fn parse_duration(words: &str) -> Result<Duration, String> {
    let unit_at = words.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(words.len());
    let (number, unit) = words.split_at(unit_at);
    let shape = || "a duration is a number and a unit, such as `500ms`, `10s`, `2m` or `1h`".to_owned();
    let number = number.parse::<f64>().map_err(|_| shape())?;
    if unit.is_empty() {
        return Err(format!("the unit is missing: {number}s is {number} seconds"));
    }
    let seconds =
        UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| seconds).ok_or_else(shape)?;
    let total = number * seconds;
    if total > SECONDS_MAX {
        return Err("a duration is at most a year".into());
    }
    let duration = Duration::from_secs_f64(total);
    if duration.is_zero() {
        return Err("a duration is more than zero".into());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_counts() {
        let read = |words| parse_duration(words).map(|duration| duration.as_millis());
        assert_eq!(read("500ms"), Ok(500));
        assert_eq!(read("10s"), Ok(10_000));
        assert_eq!(read("1.5s"), Ok(1_500));
        assert_eq!(read("2m"), Ok(120_000));
        assert_eq!(read("1h"), Ok(3_600_000));
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for bad in [
            "",
            "10",
            "s",
            "-1s",
            "1 s",
            "10 seconds",
            "1e3s",
            "nan",
            "inf",
            "1.2.3s",
            "0s",
            "0ms",
            "9999999h",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
