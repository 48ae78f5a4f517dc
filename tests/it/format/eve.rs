//! EVE lines, parsed into types that deny unknown keys.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;
use smsentry::format::{LINE_MAX, LineContext, write_eve};
use smsentry::outcome::Outcome;
use smsentry::record::{Body, Record, Request, Response};
use smsentry::segment::{TunnelKind, Vlans};
use smsentry::uri::{Evasion, Evasions};

use crate::support::random_records::{OUTCOMES, Random, alert, context, greedy, http, plain, stats};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "fields are there to be parsed")]
pub(crate) struct Event {
    timestamp: String,
    flow_id: u64,
    in_iface: Option<String>,
    pcap_cnt: Option<u64>,
    event_type: String,
    vlan: Option<Vec<u16>>,
    src_ip: IpAddr,
    src_port: u16,
    dest_ip: IpAddr,
    dest_port: u16,
    proto: String,
    pkt_src: String,
    community_id: String,
    tx_id: u32,
    alert: Option<AlertMember>,
    tunnel: Option<Tunnel>,
    /// Absent only in campaigns.
    #[serde(default)]
    http: Http,
    app_proto: Option<String>,
    direction: Option<String>,
    flow: Option<Flow>,
    host: Option<String>,
    pcap_filename: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "fields are there to be parsed")]
struct AlertMember {
    action: String,
    gid: u32,
    signature_id: u32,
    rev: u32,
    signature: String,
    category: String,
    severity: u8,
    source: End,
    target: End,
    metadata: BTreeMap<String, Vec<String>>,
    xff: Option<IpAddr>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct End {
    ip: IpAddr,
    port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "fields are there to be parsed")]
struct Tunnel {
    src_ip: IpAddr,
    src_port: u16,
    dest_ip: IpAddr,
    dest_port: u16,
    proto: String,
    depth: u8,
    pcap_cnt: Option<u64>,
    pkt_src: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Http {
    hostname: Option<String>,
    http_port: Option<u16>,
    url: String,
    http_user_agent: Option<String>,
    xff: Option<String>,
    http_content_type: Option<String>,
    http_refer: Option<String>,
    http_method: String,
    protocol: Option<String>,
    status: Option<u16>,
    redirect: Option<String>,
    length: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "fields are there to be parsed")]
struct Flow {
    pkts_toserver: u64,
    pkts_toclient: u64,
    bytes_toserver: u64,
    bytes_toclient: u64,
    start: String,
    src_ip: IpAddr,
    dest_ip: IpAddr,
    src_port: u16,
    dest_port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatsEvent {
    timestamp: String,
    event_type: String,
    #[expect(dead_code, reason = "to be parsed")]
    host: Option<String>,
    stats: BTreeMap<String, serde_json::Value>,
}

/// The closed list of metadata keys.
pub(crate) const METADATA: [&str; 34] = [
    "smsentry_campaign",
    "smsentry_hits",
    "smsentry_signatures",
    "smsentry_targets",
    "smsentry_hosts",
    "smsentry_families",
    "smsentry_outcomes",
    "smsentry_exposed",
    "smsentry_agents",
    "smsentry_fingerprint",
    "smsentry_first",
    "smsentry_last",
    "smsentry_context",
    "attack_target",
    "affected_product",
    "signature_severity",
    "confidence",
    "mitre_tactic_id",
    "mitre_tactic_name",
    "mitre_technique_id",
    "mitre_technique_name",
    "cve",
    "created_at",
    "updated_at",
    "smsentry_signature",
    "smsentry_family",
    "smsentry_product",
    "smsentry_outcome",
    "smsentry_evasion",
    "smsentry_match",
    "smsentry_also",
    "smsentry_update",
    "smsentry_truncated",
    "smsentry_vni",
];

fn line(record: &Record, context: &LineContext) -> String {
    let mut out = b"before\n".to_vec();
    write_eve(record, context, &mut out);
    let line = String::from_utf8(out).unwrap();
    let line = line.strip_prefix("before\n").expect("what was in the buffer stays");
    let text = line.strip_suffix('\n').expect("a line ends in LF");
    assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "not plain ASCII: {text}");
    assert!(line.len() < LINE_MAX, "{} bytes", line.len());
    assert!(text.starts_with("{\"timestamp\":\""), "{text}");
    text.to_owned()
}

fn event(record: &Record, context: &LineContext) -> Event {
    let line = line(record, context);
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// What Suricata makes of bytes, implemented a second time: text if it is UTF-8, else `\xhh` for the upper half.
fn as_suricata(bytes: &[u8]) -> String {
    match String::from_utf8(bytes.to_vec()) {
        Ok(text) => text,
        Err(_) => bytes
            .iter()
            .map(|&byte| if byte < 0x80 { char::from(byte).to_string() } else { format!("\\x{byte:02x}") })
            .collect(),
    }
}

/// Checks that a string is that of the traffic, or a prefix of it that is listed as truncated.
fn check(name: &str, written: Option<&String>, wire: Option<&[u8]>, truncated: Option<&[String]>) {
    assert_eq!(written.is_some(), wire.is_some(), "{name}");
    let (Some(written), Some(wire)) = (written, wire) else { return };
    let whole = as_suricata(wire);
    assert!(whole.starts_with(written.as_str()), "{name}: {written:?} is no beginning of {whole:?}");
    let cut = whole != *written;
    let serialised = serde_json::to_string(written).unwrap().len();
    assert!(!cut || serialised >= 10, "{name}: cut to {serialised} bytes");
    if let Some(truncated) = truncated {
        assert_eq!(truncated.iter().any(|one| one == name), cut, "{name}: {truncated:?}");
    }
}

fn check_http(written: &Http, request: &Request, response: Option<&Response>, truncated: Option<&[String]>) {
    check("url", Some(&written.url), Some(&request.target), truncated);
    check("http_method", Some(&written.http_method), Some(&request.method), truncated);
    check("http_user_agent", written.http_user_agent.as_ref(), request.user_agent.as_deref(), truncated);
    check("http_refer", written.http_refer.as_ref(), request.referrer.as_deref(), truncated);
    check("xff", written.xff.as_ref(), request.forwarded_for.as_deref(), truncated);
    if !request.protocol.is_empty() {
        check("protocol", written.protocol.as_ref(), Some(&request.protocol), truncated);
    }
    assert_eq!(written.hostname.is_some(), request.host.is_some());
    if written.http_port.is_none() {
        let host = request.host.as_deref().map(|host| host.strip_suffix(b":").unwrap_or(host));
        if host.is_none_or(|host| !host.contains(&b':')) {
            check("hostname", written.hostname.as_ref(), host, truncated);
        }
    }
    assert_eq!(written.status, response.map(|response| response.status));
    let location = response.filter(|response| response.status == 302).and_then(|r| r.location.as_deref());
    check("redirect", written.redirect.as_ref(), location, truncated);
    assert_eq!(written.http_content_type.is_some(), response.is_some_and(|r| r.content_type.is_some()));
}

#[test]
fn random_records_are_strict_ascii_lines_that_return_their_strings() {
    let mut random = Random::new(7);
    for turn in 0..1500 {
        let record = random.record();
        let context = context((turn % 2 == 0).then_some("sensor-1 \u{202e}"));
        match &record.body {
            Body::Alert(alert) => {
                let event = event(&record, &context);
                assert_eq!(event.timestamp.len(), 31);
                assert!(event.flow_id < 1 << 51);
                let metadata = &event.alert.as_ref().unwrap().metadata;
                assert!(metadata.keys().all(|key| METADATA.contains(&&**key)), "{metadata:?}");
                assert!(metadata.values().all(|values| !values.is_empty()), "{metadata:?}");
                let truncated = metadata.get("smsentry_truncated").cloned().unwrap_or_default();
                let transaction = &alert.transaction;
                check_http(&event.http, &transaction.request, transaction.response.as_ref(), Some(&truncated));
                let matched = Some(&*alert.matched).filter(|matched| !matched.is_empty());
                let written = metadata.get("smsentry_match").map(|values| &values[0]);
                check("smsentry_match", written, matched, Some(&truncated));
                assert_eq!(truncated.iter().any(|one| one == "request"), transaction.request.truncated);
                let also = metadata.get("smsentry_also").map_or(0, Vec::len);
                assert_eq!(truncated.iter().any(|one| one == "smsentry_also"), also < alert.also.len());
            }
            Body::Http(transaction) => {
                let event = event(&record, &context);
                assert_eq!((&*event.event_type, event.timestamp.len()), ("http", 31));
                assert!(event.alert.is_none() && event.tunnel.is_none() && event.flow.is_none());
                check_http(&event.http, &transaction.request, transaction.response.as_ref(), None);
            }
            Body::Campaign(_) => unreachable!("not among these"),
            Body::Stats(_) => {
                let event: StatsEvent = serde_json::from_str(&line(&record, &context)).unwrap();
                assert_eq!((&*event.event_type, event.timestamp.len()), ("stats", 31));
            }
        }
    }
}

#[test]
fn alert_is_written_as_by_suricata() {
    let mut probe = plain();
    probe.also = vec!["wp-any".into()];
    let expected = concat!(
        r#"{"timestamp":"2025-04-29T15:25:05.124656+0000","flow_id":2069667735950968,"pcap_cnt":4,"event_type":"alert","#,
        r#""src_ip":"198.51.100.7","src_port":40001,"dest_ip":"192.0.2.10","dest_port":80,"proto":"TCP","#,
        r#""pkt_src":"wire/pcap","community_id":"1:x9SEjKBWE6uUruEcX76rDQM3OfU=","tx_id":0,"#,
        r#""alert":{"action":"allowed","gid":1,"signature_id":1000101,"rev":2,"#,
        r#""signature":"SMSENTRY WordPress sms-alert plugin stylesheet probe","#,
        r#""category":"Attempted Information Leak","severity":3,"#,
        r#""source":{"ip":"198.51.100.7","port":40001},"target":{"ip":"192.0.2.10","port":80},"#,
        r#""metadata":{"attack_target":["Web_Server"],"affected_product":["WordPress_SMS_Alert"],"#,
        r#""signature_severity":["Minor"],"confidence":["High"],"#,
        r#""mitre_tactic_id":["TA0043"],"mitre_tactic_name":["Reconnaissance"],"#,
        r#""mitre_technique_id":["T1595"],"mitre_technique_name":["Active_Scanning"],"#,
        r#""created_at":["2025_04_29"],"updated_at":["2025_05_01"],"#,
        r#""smsentry_signature":["wp-sms-alert"],"smsentry_family":["plugin"],"#,
        r#""smsentry_product":["WordPress_SMS_Alert"],"smsentry_outcome":["not_found"],"#,
        r#""smsentry_match":["/wp-content/plugins/sms-alert/css/admin.css"],"smsentry_also":["wp-any"]}},"#,
        r#""http":{"hostname":"www.example.com","http_port":8080,"#,
        r#""url":"/wp-content/plugins/sms-alert/css/admin.css","http_user_agent":"curl/8.0","#,
        r#""http_content_type":"text/html","http_method":"GET","protocol":"HTTP/1.1","status":404,"length":9},"#,
        r#""app_proto":"http","direction":"to_server","#,
        r#""flow":{"pkts_toserver":3,"pkts_toclient":2,"bytes_toserver":357,"bytes_toclient":194,"#,
        r#""start":"2025-04-29T15:25:05.123456+0000","src_ip":"198.51.100.7","dest_ip":"192.0.2.10","#,
        r#""src_port":40001,"dest_port":80},"host":"sensor1","pcap_filename":"sms.pcap"}"#,
    );
    assert_eq!(line(&alert(probe), &context(Some("sensor1"))), expected);
}

#[test]
fn largest_records_stay_below_the_limit_and_list_what_was_truncated() {
    // Characters of a target that fills all of its 8,000 bytes: those of one unit, as written and as read back.
    let whole = [8000 / 6, 8000 / 12, 8000 / 5 * 4, 8000 / 2, 8000];
    for (probe, characters) in greedy().into_iter().zip(whole) {
        let context = context(Some(&"s\u{e9}".repeat(4000)));
        let transaction = probe.transaction.clone();
        let event = event(&alert(probe), &context);
        assert_eq!(event.http.url.chars().count(), characters);
        let truncated = &event.alert.unwrap().metadata["smsentry_truncated"];
        for name in ["url", "hostname", "http_user_agent", "smsentry_match", "smsentry_also", "request", "host"] {
            assert!(truncated.iter().any(|one| one == name), "{name} in {truncated:?}");
        }
        line(&http(transaction), &context);
    }
}

#[test]
fn strings_at_their_cap_are_complete_and_one_more_byte_is_cut() {
    let mut probe = plain();
    probe.transaction.request.target = vec![b'a'; 8000];
    probe.transaction.request.user_agent = Some(vec![b'"'; 500]);
    let whole = event(&alert(probe.clone()), &context(None));
    assert_eq!((whole.http.url.len(), whole.http.http_user_agent.unwrap().len()), (8000, 500));
    assert!(!whole.alert.unwrap().metadata.contains_key("smsentry_truncated"));
    probe.transaction.request.target.push(b'a');
    probe.transaction.request.user_agent.as_mut().unwrap().push(b'a');
    let cut = event(&alert(probe), &context(None));
    assert_eq!((cut.http.url.len(), cut.http.http_user_agent.unwrap().len()), (8000, 500));
    assert_eq!(cut.alert.unwrap().metadata["smsentry_truncated"], ["http_user_agent", "url"]);
}

#[test]
fn severity_follows_the_outcome() {
    for outcome in OUTCOMES {
        for (own, usual) in [(2, 2), (3, 3), (1, 2), (9, 3)] {
            let mut probe = plain();
            probe.outcome = outcome;
            std::sync::Arc::make_mut(&mut probe.signature).severity = own;
            let written = event(&alert(probe), &context(None)).alert.unwrap();
            let expected = match outcome {
                Outcome::Exposed => 1,
                Outcome::NotFound | Outcome::Refused => 3,
                _ => usual,
            };
            assert_eq!(written.severity, expected, "{outcome:?}");
            assert_eq!(written.metadata["smsentry_outcome"], [outcome.name()]);
        }
    }
}

#[test]
fn evasions_and_encapsulation_are_reported() {
    let mut probe = plain();
    probe.evasions = Evasions::default().with(Evasion::Case).with(Evasion::Percent);
    probe.conflict = true;
    probe.late = Some(Outcome::Pending);
    probe.forwarded_for = Some("2001:db8::7".parse().unwrap());
    let mut vlans = Vlans::default();
    [100, 200].into_iter().for_each(|id| vlans.push(id));
    probe.transaction.encapsulation.vlans = vlans;
    let outer = probe.transaction.client;
    probe.transaction.encapsulation.tunnel = Some(smsentry::segment::Tunnel {
        kind: TunnelKind::Vxlan,
        source: outer,
        destination: probe.transaction.server,
        protocol: 17,
        depth: 1,
        network: Some(4096),
    });
    probe.transaction.input = 1;
    let mut written = event(&alert(probe.clone()), &context(None));
    assert_eq!(written.vlan.take().unwrap(), [100, 200]);
    assert_eq!((&*written.pkt_src, written.in_iface.as_deref()), ("vxlan encapsulation", Some("eth1")));
    assert!(written.pcap_cnt.is_none() && written.pcap_filename.is_none());
    let tunnel = written.tunnel.unwrap();
    assert_eq!((&*tunnel.proto, tunnel.depth, tunnel.pkt_src.as_deref()), ("UDP", 1, Some("wire/pcap")));
    assert_eq!(tunnel.src_ip, outer.ip);
    let member = written.alert.unwrap();
    assert_eq!(member.source, End { ip: outer.ip, port: outer.port });
    assert_eq!(member.xff.unwrap().to_string(), "2001:db8::7");
    assert_eq!(member.metadata["smsentry_evasion"], ["percent", "case", "tcp-conflict"]);
    assert_eq!(member.metadata["smsentry_update"], ["late-answer"]);
    assert_eq!(member.metadata["smsentry_vni"], ["4096"]);
    probe.transaction.encapsulation.fragmented = true;
    assert_eq!(event(&alert(probe), &context(None)).pkt_src, "defrag");
}

#[test]
fn responses_and_unusual_requests_are_written_as_by_suricata() {
    let mut transaction = plain().transaction;
    transaction.response = None;
    transaction.request.protocol = Vec::new().into();
    let written = event(&http(transaction.clone()), &context(None)).http;
    assert_eq!((written.protocol.as_deref(), written.status, written.length), (Some("HTTP/0.9"), None, 0));
    transaction.request.truncated = true;
    assert_eq!(event(&http(transaction.clone()), &context(None)).http.protocol, None);
    let location = Some(b"/there".to_vec());
    transaction.response =
        Some(Response { status: 301, location, content_length: Some(u64::MAX), body_len: 3, ..Response::default() });
    let written = event(&http(transaction.clone()), &context(None)).http;
    assert_eq!((written.redirect.as_deref(), written.length), (Some("/there"), i64::MAX.unsigned_abs()));
    transaction.response.as_mut().unwrap().status = 200;
    assert_eq!(event(&http(transaction), &context(None)).http.redirect, None);
}

#[test]
fn stats_have_the_keys_of_every_version() {
    let mut figures = Random::new(3).stats();
    figures.capture = None;
    let text = line(&stats(figures), &context(Some("sensor1")));
    let event: StatsEvent = serde_json::from_str(&text).unwrap();
    assert_eq!(event.stats.keys().collect::<Vec<_>>(), ["app_layer", "decoder", "detect", "flow", "tcp", "uptime"]);
    assert!(event.stats["decoder"].as_object().unwrap().len() == 16);
    assert!(event.stats["tcp"].as_object().unwrap().values().all(|figure| figure.is_u64()));
}

/// Parses a line of the program with the types above.
#[track_caller]
pub(crate) fn check_line(line: &str) {
    assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "not plain ASCII: {line}");
    assert!(line.len() < LINE_MAX && line.starts_with("{\"timestamp\":\""), "{line}");
    let kind = serde_json::from_str::<serde_json::Value>(line).unwrap()["event_type"].as_str().unwrap().to_owned();
    if kind == "stats" {
        serde_json::from_str::<StatsEvent>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        return;
    }
    let event: Event = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert_eq!((event.timestamp.len(), event.alert.is_some()), (31, kind == "alert"), "{line}");
    assert!(event.flow_id < 1 << 51, "{line}");
    let metadata = event.alert.map(|alert| alert.metadata).unwrap_or_default();
    assert!(metadata.iter().all(|(key, values)| METADATA.contains(&&**key) && !values.is_empty()), "{line}");
}
