//! Properties that hold for every record, whatever the input.

use std::path::PathBuf;

use smsentry::format::{Format, InputName, LINE_MAX, LineContext};
use smsentry::record::Record;

/// Checks a record in every format: each line is ASCII and shorter than the limit, and JSON lines parse.
pub fn check_lines(record: &Record) {
    let inputs = vec![InputName::File(PathBuf::from("x.pcap"))];
    let context = LineContext { sensor_name: Some("fuzz".to_owned()), inputs, one_stream: true, redact: false };
    for format in [Format::Eve, Format::ZeekJson, Format::ZeekTsv] {
        let mut line = Vec::new();
        format.write(record, &context, &mut line);
        if format.log(record).is_none() {
            assert!(line.is_empty());
            continue;
        }
        assert!(line.len() < LINE_MAX, "a line of {} bytes", line.len());
        let text = line.strip_suffix(b"\n").expect("a line ends in one LF");
        assert!(text.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte == b'\t'), "pure ASCII");
        if format != Format::ZeekTsv {
            let value: serde_json::Value = serde_json::from_slice(text).expect("JSON");
            assert!(value.is_object());
        }
    }
}
