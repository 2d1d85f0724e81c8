// SPDX-License-Identifier: GPL-2.0
//! Points in time as text (RFC 3339).

use std::time::{
    SystemTime,
    UNIX_EPOCH, //
};

/// UTC, to the microsecond; what is before 1970 is 1970.
pub(super) fn utc(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (day, second) = (since.as_secs() / 86400, since.as_secs() % 86400);
    let (year, month, day) = date(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z",
        since.subsec_micros()
    )
}

/// Year, month and day of a number of days after 1970-01-01, in the Gregorian calendar.
///
/// Counts in eras of 400 years that begin in March, so that the leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    // From 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (400 * era + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn known_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000007Z"),
            (951_782_400, "2000-02-29T00:00:00.000007Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000007Z"),
            (1_795_239_180, "2026-11-21T05:33:00.000007Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::new(seconds, 7000)), text);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = date(0);
        for day in 1..400 * 366 {
            let next = date(day);
            let (year, month, _) = last;
            let first = if month == 12 {
                (year + 1, 1, 1)
            } else {
                (year, month + 1, 1)
            };
            assert!(
                next == (year, month, last.2 + 1) || next == first,
                "{last:?} {next:?}"
            );
            assert!(next.2 <= 31);
            last = next;
        }
    }
}
