//! Numbers as people read them.

use std::time::Duration;

use orchestrator_core::Bytes;
use orchestrator_core::capacity::Baseline;

/// `16 ms`, `1.4 s`, `12 s`, `3m 05s`, `2h 07m`, `3d 4h`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// `1 file`, `2 files`, `12 345 files`.
pub(crate) fn plural(count: u64, thing: &str) -> String {
    format!("{} {thing}{}", number(count), if count == 1 { "" } else { "s" })
}

/// `12 345`: groups of three.
pub(crate) fn number(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// The text cut to `width` characters, `…` in place of what is cut.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// What calibration found, in one line.
pub(crate) fn baseline(baseline: &Baseline) -> String {
    let bytes = |value: f64| Bytes(value.max(0.0) as u64);
    let growth = match bytes(baseline.rss_growth_bytes_per_second) {
        Bytes(0) => String::new(),
        growth => format!(", growing by up to {growth} a second"),
    };
    let runs = match baseline.wall_seconds {
        0.0 => String::new(),
        seconds => format!(", runs {}", duration(Duration::from_secs_f64(seconds.clamp(0.0, 1e9)))),
    };
    format!(
        "calibrated over {}: one process keeps {:.2} cores busy, takes up to {} of memory{growth}, reads {} and writes \
         {} a second{runs}",
        plural(u64::from(baseline.samples), "file"),
        baseline.cpu_cores,
        bytes(baseline.rss_peak_bytes),
        bytes(baseline.read_bytes_per_second),
        bytes(baseline.write_bytes_per_second),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_parts_at_most() {
        let table = [
            (16, "16 ms"),
            (1_400, "1.4 s"),
            (12_300, "12 s"),
            (185_000, "3m 05s"),
            (7_620_000, "2h 07m"),
            (273_600_000, "3d 4h"),
        ];
        for (millis, text) in table {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn numbers_are_grouped_and_things_counted() {
        assert_eq!((number(0), number(999), number(1_000)), ("0".into(), "999".into(), "1 000".into()));
        assert_eq!(
            (plural(1, "file"), plural(1_234_567, "file")),
            ("1 file".into(), "1 234 567 files".into())
        );
        assert_eq!((cut("grüße", 5), cut("grüße!", 5)), ("grüße".to_owned(), "grüß…".to_owned()));
    }
}
