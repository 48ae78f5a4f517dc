//! Zeek lines: JSON parsed into types that deny unknown keys, TSV by a reader of the tests' own.

use std::net::IpAddr;

use serde::Deserialize;
use smsentry::format::{Format, LINE_MAX, LineContext, Log};
use smsentry::outcome::Outcome;
use smsentry::record::{Body, Record};
use smsentry::time::Timestamp;

use crate::support::random_records::{Random, alert, context, greedy, http, plain, stats};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "fields are there to be parsed")]
struct Notice {
    #[serde(rename = "_path")]
    path: Option<String>,
    ts: f64,
    uid: String,
    #[serde(rename = "id.orig_h")]
    originator: IpAddr,
    #[serde(rename = "id.orig_p")]
    originator_port: u16,
    #[serde(rename = "id.resp_h")]
    responder: IpAddr,
    #[serde(rename = "id.resp_p")]
    responder_port: u16,
    proto: String,
    note: String,
    msg: String,
    sub: String,
    src: IpAddr,
    dst: IpAddr,
    p: u16,
    n: u64,
    peer_descr: Option<String>,
    actions: Vec<String>,
    email_dest: Vec<String>,
    suppress_for: f64,
    community_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "fields are there to be parsed")]
struct Http {
    #[serde(rename = "_path")]
    path: Option<String>,
    ts: f64,
    uid: String,
    #[serde(rename = "id.orig_h")]
    originator: IpAddr,
    #[serde(rename = "id.orig_p")]
    originator_port: u16,
    #[serde(rename = "id.resp_h")]
    responder: IpAddr,
    #[serde(rename = "id.resp_p")]
    responder_port: u16,
    trans_depth: u64,
    method: String,
    host: Option<String>,
    uri: String,
    referrer: Option<String>,
    version: Option<String>,
    user_agent: Option<String>,
    request_body_len: u64,
    response_body_len: u64,
    status_code: Option<u16>,
    status_msg: Option<String>,
    tags: Vec<String>,
    proxied: Option<Vec<String>>,
}

fn write(format: Format, record: &Record, context: &LineContext) -> String {
    let mut out = Vec::new();
    format.write(record, context, &mut out);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(format.log(record).is_some(), !text.is_empty());
    assert!(text.len() < LINE_MAX, "{} bytes", text.len());
    assert_eq!(text.matches('\n').count(), usize::from(!text.is_empty()));
    assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t')), "{text:?}");
    text.trim_end_matches('\n').to_owned()
}

/// What Zeek's JSON writer makes of bytes, implemented a second time.
fn as_zeek(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut rest = bytes;
    while let Some(&byte) = rest.first() {
        let character = (1..=4.min(rest.len())).find_map(|len| std::str::from_utf8(&rest[..len]).ok());
        match character {
            Some(text) if byte >= 0x20 && byte != 0x7f => out.push_str(text),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
        rest = &rest[character.map_or(1, str::len)..];
    }
    out
}

fn is_beginning(written: Option<&String>, wire: Option<&[u8]>) {
    assert_eq!(written.is_some(), wire.is_some());
    if let (Some(written), Some(wire)) = (written, wire) {
        let whole = as_zeek(wire);
        assert!(whole.starts_with(written.as_str()), "{written:?} is no beginning of {whole:?}");
        assert!(whole == *written || written.len() > 10);
    }
}

fn is_uid(uid: &str) -> bool {
    (3..=18).contains(&uid.len()) && uid.starts_with('C') && uid.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[test]
fn random_records_are_one_strict_line_of_json() {
    let mut random = Random::new(11);
    for turn in 0..1500 {
        let record = random.record();
        let mut context = context((turn % 2 == 0).then_some("sensor-1"));
        context.one_stream = turn % 3 == 0;
        let line = write(Format::ZeekJson, &record, &context);
        match &record.body {
            Body::Alert(alert) => {
                let notice: Notice = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert_eq!(notice.path.as_deref(), context.one_stream.then_some("notice"));
                assert!(is_uid(&notice.uid));
                let exposed = alert.outcome == Outcome::Exposed;
                assert_eq!(notice.note, if exposed { "SMSENTRY::Exposed" } else { "SMSENTRY::Probe" });
                let answer = alert.transaction.response.as_ref();
                let answer = answer.map_or(alert.outcome.name().to_owned(), |response| response.status.to_string());
                assert!(notice.sub.ends_with(&format!(" -> {answer}")), "{}", notice.sub);
                assert_eq!((notice.actions.len(), notice.email_dest.len()), (1, 0));
            }
            Body::Http(transaction) => {
                let http: Http = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert_eq!(http.path.as_deref(), context.one_stream.then_some("http"));
                assert!(is_uid(&http.uid) && http.tags.is_empty());
                assert_eq!(http.trans_depth, u64::from(transaction.tx_id) + 1);
                let request = &transaction.request;
                is_beginning(Some(&http.method), Some(&request.method));
                is_beginning(http.host.as_ref(), request.host.as_deref());
                is_beginning(http.user_agent.as_ref(), request.user_agent.as_deref());
                is_beginning(http.referrer.as_ref(), request.referrer.as_deref());
                let status = transaction.response.as_ref().map(|response| response.status);
                assert_eq!((http.status_code, http.proxied.is_some()), (status, request.forwarded_for.is_some()));
            }
            Body::Stats(_) => assert_eq!(line, ""),
            Body::Campaign(_) => unreachable!("not among these"),
        }
    }
}

/// One field of a TSV log, as Zeek's readers parse it.
fn unescape(field: &str) -> Option<Vec<u8>> {
    match field {
        "-" => return None,
        "(empty)" => return Some(Vec::new()),
        _ => {}
    }
    let mut out = Vec::new();
    let mut rest = field.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'\\', [b'x', _, _, ..]) => {
                out.push(u8::from_str_radix(std::str::from_utf8(&after[1..3]).unwrap(), 16).unwrap());
                rest = &after[3..];
            }
            (b'\\', [b'\\', ..]) => {
                out.push(b'\\');
                rest = &after[1..];
            }
            (b'\\', _) => panic!("a lone backslash: {field}"),
            (&byte, _) => out.push(byte),
        }
    }
    Some(out)
}

fn columns(log: Log) -> Vec<String> {
    let mut out = Vec::new();
    Format::ZeekTsv.header(log, Timestamp::ZERO, &mut out);
    let header = String::from_utf8(out).unwrap();
    let fields = header.lines().find_map(|line| line.strip_prefix("#fields\t")).unwrap();
    fields.split('\t').map(str::to_owned).collect()
}

#[test]
fn random_records_are_one_line_of_tsv_that_returns_its_strings() {
    let mut random = Random::new(13);
    let (notice, http) = (columns(Log::Notice), columns(Log::Http));
    for _ in 0..1500 {
        let record = random.record();
        let line = write(Format::ZeekTsv, &record, &context(None));
        let row: Vec<_> = line.split('\t').collect();
        match &record.body {
            Body::Alert(_) => assert_eq!(row.len(), notice.len()),
            Body::Http(transaction) => {
                assert_eq!(row.len(), http.len());
                let field = |name: &str| unescape(row[http.iter().position(|column| column == name).unwrap()]);
                let request = &transaction.request;
                let agent = (request.user_agent.clone(), field("user_agent"));
                for (wire, written) in
                    [(Some(request.method.to_vec()), field("method")), (request.host.clone(), field("host")), agent]
                {
                    assert_eq!(wire.is_some(), written.is_some());
                    let (wire, written) = (wire.unwrap_or_default(), written.unwrap_or_default());
                    assert!(wire.starts_with(&written) && (wire == written || written.len() > 20));
                }
            }
            Body::Stats(_) => assert_eq!(line, ""),
            Body::Campaign(_) => unreachable!("not among these"),
        }
    }
}

#[test]
fn largest_records_stay_below_the_limit() {
    for probe in greedy() {
        for format in [Format::ZeekJson, Format::ZeekTsv] {
            let context = context(Some(&"s\u{e9}".repeat(4000)));
            let line = write(format, &alert(probe.clone()), &context);
            assert!(line.contains(" -> 302"), "{line}");
            write(format, &http(probe.transaction.clone()), &context);
        }
    }
}

#[test]
fn notice_is_written_as_by_zeek() {
    let expected = concat!(
        r#"{"_path":"notice","ts":1745940305.124656,"uid":"CiqIdy2V4rj8X9ai1","id.orig_h":"198.51.100.7","#,
        r#""id.orig_p":40001,"id.resp_h":"192.0.2.10","id.resp_p":80,"proto":"tcp","note":"SMSENTRY::Probe","#,
        r#""msg":"198.51.100.7 asked 192.0.2.10 for WordPress SMS Alert: not_found (signature 1000101 wp-sms-alert, "#,
        r#"WordPress sms-alert plugin stylesheet probe)","#,
        r#""sub":"GET /wp-content/plugins/sms-alert/css/admin.css -> 404","src":"198.51.100.7","dst":"192.0.2.10","#,
        r#""p":80,"n":1,"peer_descr":"sensor1","actions":["Notice::ACTION_LOG"],"email_dest":[],"#,
        r#""suppress_for":3600.0,"community_id":"1:x9SEjKBWE6uUruEcX76rDQM3OfU="}"#,
    );
    let context = LineContext { one_stream: true, ..context(Some("sensor1")) };
    assert_eq!(write(Format::ZeekJson, &alert(plain()), &context), expected);
}

#[test]
fn transaction_is_written_as_by_zeek() {
    let mut transaction = plain().transaction;
    transaction.request.target = b"/sms/%65nv\t%%target%%".to_vec();
    transaction.request.forwarded_for = Some(b"203.0.113.77, 10.0.0.1".to_vec());
    transaction.request.user_agent = Some(b"-".to_vec());
    let expected = "1745940305.124656\tCiqIdy2V4rj8X9ai1\t198.51.100.7\t40001\t192.0.2.10\t80\t1\tGET\t\
        www.example.com:8080\t/sms/env\\x09%%target%%\t-\t1.1\t\\x2d\t-\t0\t9\t404\tNot Found\t-\t-\t(empty)\t-\t-\t\
        X-FORWARDED-FOR -> 203.0.113.77\\x2c 10.0.0.1\t-\t-\t-\t-\t-\t-";
    assert_eq!(write(Format::ZeekTsv, &http(transaction), &context(None)), expected);
}

#[test]
fn log_header_and_footer_are_those_of_zeek() {
    let opened = Timestamp::from_nanos(1_745_940_305_124_656_000);
    let mut out = Vec::new();
    Format::ZeekTsv.header(Log::Notice, opened, &mut out);
    Format::ZeekTsv.footer(Log::Notice, opened, &mut out);
    let expected = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tnotice\n\
        #open\t2025-04-29-15-25-05\n\
        #fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tfuid\tfile_mime_type\tfile_desc\tproto\tnote\t\
        msg\tsub\tsrc\tdst\tp\tn\tpeer_descr\tactions\temail_dest\tsuppress_for\tremote_location.country_code\t\
        remote_location.region\tremote_location.city\tremote_location.latitude\tremote_location.longitude\t\
        community_id\n\
        #types\ttime\tstring\taddr\tport\taddr\tport\tstring\tstring\tstring\tenum\tenum\tstring\tstring\taddr\taddr\t\
        port\tcount\tstring\tset[enum]\tset[string]\tinterval\tstring\tstring\tstring\tdouble\tdouble\tstring\n\
        #close\t2025-04-29-15-25-05\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let mut none = Vec::new();
    for format in [Format::Eve, Format::ZeekJson] {
        format.header(Log::Http, opened, &mut none);
        format.footer(Log::Http, opened, &mut none);
    }
    assert!(none.is_empty());
}

#[test]
fn every_record_has_its_log() {
    let mut random = Random::new(1);
    let records = [alert(plain()), http(plain().transaction), stats(random.stats())];
    let files = |format: Format| {
        records.each_ref().map(|record| {
            format.log(record).map(|log| {
                assert!(format.logs().contains(&log));
                log.file_name()
            })
        })
    };
    assert_eq!(files(Format::Eve), [Some("eve.json"); 3]);
    assert_eq!(files(Format::ZeekTsv), [Some("notice.log"), Some("http.log"), None]);
    assert_eq!(files(Format::ZeekJson), [Some("notice.log"), Some("http.log"), None]);
}
