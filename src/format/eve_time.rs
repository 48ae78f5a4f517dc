//! Formats packet time: EVE's `timestamp`, Zeek's epoch seconds and `#open`. Always UTC, whatever the host's time zone.

use std::io::Write;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Serialize, Serializer};

use crate::time::Timestamp;

/// A time in EVE's format: `2025-04-29T15:25:05.124656+0000`. Always 31 bytes, because Arkime reads fixed offsets.
pub(super) struct EveTime(pub(super) Timestamp);

impl Serialize for EveTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let at = civil(self.0);
        let micros = at.subsec_nanosecond() / 1000;
        let parts: [(usize, i32); 7] = [
            (4, at.year().into()),
            (7, at.month().into()),
            (10, at.day().into()),
            (13, at.hour().into()),
            (16, at.minute().into()),
            (19, at.second().into()),
            (26, micros),
        ];
        // Written digit by digit: a record has up to six times, and `format!` takes a thousand instructions for each.
        let mut text = *b"0000-00-00T00:00:00.000000+0000";
        for (end, mut value) in parts {
            for digit in text.get_mut(..end).into_iter().flatten().rev() {
                if value == 0 {
                    break;
                }
                *digit = b'0' + (value % 10) as u8;
                value /= 10;
            }
        }
        serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// Appends the seconds since the epoch with six decimals, which is the resolution of a double for today's dates.
pub(super) fn append_epoch(time: Timestamp, out: &mut Vec<u8>) {
    let micros = time.micros();
    let sign = if micros < 0 { "-" } else { "" };
    let (seconds, fraction) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    write!(out, "{sign}{seconds}.{fraction:06}").expect("a Vec takes every byte");
}

/// Appends the time in the format of Zeek's `#open` and `#close`: `2025-04-29-15-25-05`.
pub(super) fn append_open_time(time: Timestamp, out: &mut Vec<u8>) {
    let at = civil(time);
    let (year, month, day) = (at.year(), at.month(), at.day());
    write!(out, "{year:04}-{month:02}-{day:02}-{:02}-{:02}-{:02}", at.hour(), at.minute(), at.second())
        .expect("a Vec takes every byte");
}

fn civil(time: Timestamp) -> DateTime {
    let time = jiff::Timestamp::from_nanosecond(time.nanos().into())
        .expect("64-bit nanoseconds cover the years 1677 to 2262, jiff covers -9999 to 9999");
    Offset::UTC.to_datetime(time)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::format::json;

    fn eve(nanos: i64) -> String {
        let mut out = Vec::new();
        json::append(&EveTime(Timestamp::from_nanos(nanos)), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn epoch(nanos: i64) -> String {
        let mut out = Vec::new();
        append_epoch(Timestamp::from_nanos(nanos), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_have_the_formats_of_suricata_and_zeek() {
        assert_eq!(eve(1_745_940_305_124_656_789), "\"2025-04-29T15:25:05.124656+0000\"");
        assert_eq!(eve(-1), "\"1969-12-31T23:59:59.999999+0000\"");
        assert_eq!(eve(i64::MAX), "\"2262-04-11T23:47:16.854775+0000\"");
        assert_eq!(eve(i64::MIN), "\"1677-09-21T00:12:43.145224+0000\"");
        assert_eq!(epoch(1_745_940_305_124_656_789), "1745940305.124656");
        assert_eq!(epoch(1_745_940_305_000_000_000), "1745940305.000000");
        assert_eq!(epoch(-1), "-0.000001");
        let mut out = Vec::new();
        append_open_time(Timestamp::from_nanos(1_745_940_305_124_656_789), &mut out);
        assert_eq!(out, b"2025-04-29-15-25-05");
    }

    proptest! {
        #[test]
        fn eve_time_has_31_bytes_and_microsecond_resolution(nanos: i64) {
            let text = eve(nanos);
            prop_assert_eq!(text.len(), 33);
            let parsed = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S.%f%z", text.trim_matches('"')).unwrap();
            let micros = parsed.to_timestamp().unwrap().as_microsecond();
            prop_assert_eq!(micros, Timestamp::from_nanos(nanos).micros());
            let (seconds, fraction) = epoch(nanos).split_once('.').map(|(s, f)| (s.to_owned(), f.to_owned())).unwrap();
            let epoch_micros: i64 = format!("{seconds}{fraction}").parse().unwrap();
            prop_assert_eq!(epoch_micros, Timestamp::from_nanos(nanos).micros());
        }
    }
}
