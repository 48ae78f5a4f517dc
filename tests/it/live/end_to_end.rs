//! The program on a virtual link: it finds live what it finds in the recording, also on an idle link.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::live_process::{
    BINARY, Connection, Logs, Sensor, below, eventually, metadata, of_type, prompt, records_of, send,
};
use crate::support::virtual_link::{Namespace, Process, Sender, create_link, create_link_to, in_namespace, ip};

/// Records an interface with libpcap until it is stopped.
struct Recorder(Arc<AtomicBool>, std::thread::JoinHandle<()>);

impl Recorder {
    fn on(interface: &str, path: &Path) -> Self {
        let capture = pcap::Capture::from_device(interface).unwrap().promisc(true).immediate_mode(true);
        // Immediate mode reserves a whole snapshot length per packet: the default buffer holds 32, this one 1024.
        let capture = capture.precision(pcap::Precision::Nano).timeout(10).snaplen(65_535).buffer_size(64 << 20);
        let mut capture = capture.open().unwrap().setnonblock().unwrap();
        let mut file = capture.savefile(path).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            // After the stop until the ring is empty.
            loop {
                let stopped = asked.load(Ordering::SeqCst);
                match capture.next_packet() {
                    Ok(packet) => file.write(&packet),
                    Err(_) if stopped => break,
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
            assert_eq!(capture.stats().unwrap().dropped, 0, "the recording is incomplete");
        });
        Self(stop, thread)
    }

    fn stop(self) {
        std::thread::sleep(Duration::from_millis(100));
        self.0.store(true, Ordering::SeqCst);
        self.1.join().unwrap();
    }
}

/// The alerts of a recording, as EVE.
fn replay(path: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(BINARY).args(["-q", "-r", path.to_str().unwrap()]).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The fields in which live and replay must agree: all but the place and the sensor.
fn comparable(mut records: Vec<Value>) -> Vec<String> {
    for record in &mut records {
        let record = record.as_object_mut().unwrap();
        ["in_iface", "host", "pcap_cnt", "pcap_filename"].iter().for_each(|key| drop(record.remove(*key)));
    }
    let mut lines: Vec<String> = records.iter().map(Value::to_string).collect();
    lines.sort();
    lines
}

/// A real web server at the other end of the link: nginx, or Python's if it is missing.
fn serve(other: &Namespace, root: &Path) -> Process {
    std::fs::write(root.join("sms_config.json"), "{\"api_key\": \"made up\"}\n").unwrap();
    std::fs::write(root.join("index.html"), "<p>home\n").unwrap();
    std::fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let directory = root.to_str().unwrap();
    let conf = root.join("nginx.conf");
    let server = format!(
        "server {{ listen 192.0.2.2:80; root {directory}; default_type text/plain;
        types {{ application/json json; text/html html; }} large_client_header_buffers 8 64k; }}"
    );
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {directory}/{name};"))
        .concat();
    let text = format!(
        "pid {directory}/pid; error_log {directory}/error.log; daemon off;
        events {{}} http {{ access_log off; {paths} {server} }}"
    );
    std::fs::write(&conf, text).unwrap();
    let null = || Stdio::null();
    let child = if Command::new("nginx").arg("-v").stderr(null()).status().is_ok() {
        other.exec("nginx").args(["-c", conf.to_str().unwrap()]).stdout(null()).stderr(null()).spawn()
    } else {
        let words = ["-m", "http.server", "--bind", "192.0.2.2", "--directory", directory, "80"];
        other.exec("python3").args(words).stdout(null()).stderr(null()).spawn()
    };
    let process = Process(child.unwrap());
    let reached = || TcpStream::connect("192.0.2.2:80").is_ok();
    eventually(10, reached, || format!("the server answers: {:?}", std::fs::read_to_string(root.join("error.log"))));
    process
}

/// Requests everything from the server: with curl if present, on one connection with many requests, and with a long
/// one.
fn ask_everything() {
    let urls = ["/sms_config.json", "/", "/twilio/.secrets", "/%2573ms%5Fconfig.json?x=1", "/images/nagios-sms5.png"];
    let urls = urls.map(|path| format!("http://192.0.2.2{path}"));
    let curl = Command::new("curl").args(["-s", "--path-as-is"]).args(&urls).stdout(Stdio::null()).status();
    if curl.is_err() {
        eprintln!("SKIPPED curl: not installed; raw requests only");
    }
    let mut stream = TcpStream::connect("192.0.2.2:80").unwrap();
    let filler = "x".repeat(7000);
    // More than a segment holds, so that offloads have something to merge and to split.
    let head = |path: &str, end: &str| {
        let lines: String = (0..4).map(|at| format!("X-Filler-{at}: {filler}\r\n")).collect();
        format!("GET {path} HTTP/1.1\r\nHost: www.example.org\r\n{lines}{end}\r\n")
    };
    stream.write_all(head("/sms/actuator/env", "").as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    stream.write_all(head("//Sms_Config.json", "Connection: close\r\n").as_bytes()).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn live_run_finds_what_the_replay_of_the_same_packets_finds() {
    in_namespace(|| {
        let Some(other) = Namespace::new("real-server") else { return };
        create_link_to(&other);
        let root = tempfile::tempdir().unwrap();
        let _server = serve(&other, root.path());
        for (offloads, lanes) in [("off", &["--lanes", "0"][..]), ("on", &[]), ("off", &["--lanes", "3"])] {
            let mut set = true;
            for (mut command, end) in [(Command::new("ethtool"), "probe0"), (other.exec("ethtool"), "probe1")] {
                let words = ["gro", "gso", "tso", "tx", "rx"].into_iter().flat_map(|name| [name, offloads]);
                command.args(["-K", end]).args(words).stderr(Stdio::null()).stdout(Stdio::null());
                if !command.status().is_ok_and(|done| done.success()) {
                    eprintln!("SKIPPED offloads {offloads}: ethtool is missing, or cannot set them here");
                    set = false;
                }
            }
            let logs = Logs::new();
            let recording = logs.file("recording.pcap");
            let counters = logs.file("counters.json");
            let mut arguments = vec!["-i", "probe0", "-l", logs.path(), "--events", "alert,http"];
            arguments.extend(["--counters", counters.to_str().unwrap()]);
            arguments.extend(lanes);
            let recorder = Recorder::on("probe0", &recording);
            let sensor = Sensor::start(&arguments);
            let start = sensor.messages();
            for words in ["listening on probe0, link type EN10MB", "promiscuous, ring 64 MiB", "no filter"] {
                assert!(start.contains(words), "{words:?} in {start}");
            }
            let advised = start.contains("ethtool -K probe0 gro off");
            assert!(!set || advised == (offloads == "on"), "{start}");
            ask_everything();
            recorder.stop();
            let messages = sensor.finish();
            let live = records_of(&logs.file("eve.json"));
            let (alerts, requests) = (of_type(&live, "alert"), of_type(&live, "http"));
            let replayed = replay(&recording, &["--events", "alert,http"]);
            assert_eq!(comparable(alerts.clone()), comparable(of_type(&replayed, "alert")), "{offloads} {messages}");
            assert_eq!(comparable(requests.clone()), comparable(of_type(&replayed, "http")), "{offloads} {messages}");
            let with_curl = Command::new("curl").arg("-V").output().is_ok();
            assert_eq!((alerts.len(), requests.len()), if with_curl { (7, 7) } else { (2, 2) }, "{messages}");
            let exposed = alerts.iter().filter(|alert| metadata(alert, "smsentry_outcome") == "exposed");
            assert_eq!(exposed.count(), usize::from(with_curl), "{alerts:#?}");
            for alert in &alerts {
                assert_eq!((&alert["in_iface"], &alert["src_ip"]), (&"probe0".into(), &"192.0.2.1".into()), "{alert}");
            }
            let stats = of_type(&live, "stats");
            assert!(!stats.is_empty(), "a live run ends with a stats record");
            assert_eq!(stats.last().unwrap()["stats"]["capture"]["kernel_drops"], 0);
            assert_eq!(logs.counter("alert.exposed"), u64::from(with_curl));
            assert!(messages.contains("packets received, 0 dropped by the kernel"), "{messages}");
        }
    });
}

#[test]
fn tagged_frames_and_frames_to_other_hosts_are_seen() {
    in_namespace(|| {
        create_link();
        for filter in [None, Some("tcp port 80")] {
            let logs = Logs::new();
            let recording = logs.file("recording.pcap");
            let mut arguments = vec!["-i", "probe0", "-l", logs.path()];
            arguments.extend(filter);
            let recorder = Recorder::on("probe0", &recording);
            let sensor = Sensor::start(&arguments);
            let mut sender = Sender::on("probe1");
            let tagged: [&[(u16, u16)]; 4] =
                [&[], &[(0x8100, 5)], &[(0x88a8, 5), (0x8100, 6)], &[(0x88a8, 5), (0x8100, 6), (0x8100, 7)]];
            for (port, tags) in (40_001..).zip(tagged) {
                let mut connection = Connection::new(port);
                (connection.tags, connection.server_mac) = (tags.to_vec(), [2, 9, 9, 9, 9, 9]);
                send(&mut sender, connection.open());
                send(&mut sender, [connection.ask("/sms_config.json"), connection.answer("200 OK")]);
            }
            recorder.stop();
            let messages = sensor.finish();
            assert_eq!(messages.contains("or (vlan and"), filter.is_some(), "{messages}");
            let mut alerts = logs.records("alert");
            alerts.sort_by_key(|alert| alert["src_port"].as_u64());
            let seen: Vec<_> = alerts
                .iter()
                .map(|alert| (metadata(alert, "smsentry_outcome").to_owned(), alert["vlan"].clone()))
                .collect();
            let ids = |ids: &[u16]| if ids.is_empty() { Value::Null } else { ids.into() };
            let expected = [ids(&[]), ids(&[5]), ids(&[5, 6]), ids(&[5, 6, 7])].map(|ids| ("exposed".to_owned(), ids));
            assert_eq!(seen, expected, "{messages}");
            assert_eq!(replay(&recording, &[]).len(), 4);
        }
    });
}

#[test]
fn probe_followed_by_an_idle_link_is_reported_in_time() {
    in_namespace(|| {
        create_link();
        let mut sender = Sender::on("probe1");
        let mut run = |lanes: &[&str]| {
            let logs = Logs::new();
            let mut arguments = vec!["-i", "probe0", "-l", logs.path(), "--outcome-timeout", "2"];
            arguments.extend(lanes);
            let sensor = Sensor::start(&arguments);
            // A while without a packet, so that the clock follows the computer's.
            std::thread::sleep(Duration::from_millis(700));
            let mut connection = Connection::new(40_001);
            send(&mut sender, connection.open());
            let before = Instant::now();
            sender.send(&connection.ask("/sms_config.json"));
            eventually(4, || !logs.records("alert").is_empty(), || sensor.messages());
            let passed = before.elapsed();
            assert!(passed > Duration::from_millis(1900), "too early: {passed:?}");
            assert_eq!(metadata(&logs.records("alert")[0], "smsentry_outcome"), "pending");
            // A late response still proves `exposed`.
            sender.send(&connection.answer("200 OK"));
            eventually(2, || logs.records("alert").len() == 2, || sensor.messages());
            let late = logs.records("alert").remove(1);
            assert_eq!(metadata(&late, "smsentry_outcome"), "exposed", "{late}");
            assert_eq!(metadata(&late, "smsentry_update"), "late-answer", "{late}");
            sensor.finish();
            below(passed, Duration::from_secs(3), "the alert")
        };
        prompt(|| run(&["--lanes", "0"]));
        prompt(|| run(&[]));
    });
}

/// The process is stopped for longer than the timeout while the response waits in the ring: it was in time.
#[test]
fn no_deadline_fires_while_the_response_waits_in_the_ring() {
    in_namespace(|| {
        create_link();
        let mut sender = Sender::on("probe1");
        let mut run = |round: u16| {
            let logs = Logs::new();
            let sensor = Sensor::start(&["-i", "probe0", "-l", logs.path(), "--outcome-timeout", "1"]);
            let begun = Instant::now();
            let mut connections: Vec<_> = (0..50).map(|at| Connection::new(40_000 + round * 100 + at)).collect();
            for connection in &mut connections {
                send(&mut sender, connection.open());
                sender.send(&connection.ask("/sms_config.json"));
            }
            // Perhaps still in the ring, perhaps read and held.
            std::thread::sleep(Duration::from_millis(100 * u64::from(round)));
            sensor.signal("-STOP");
            std::thread::sleep(Duration::from_millis(300));
            connections.iter_mut().for_each(|connection| sender.send(&connection.answer("200 OK")));
            let answered = begun.elapsed();
            std::thread::sleep(Duration::from_millis(1500));
            sensor.signal("-CONT");
            eventually(3, || logs.records("alert").len() >= 50, || sensor.messages());
            std::thread::sleep(Duration::from_millis(300));
            sensor.finish();
            // Later responses may rightly miss the deadline.
            below(answered, Duration::from_secs(1), "the sender")?;
            let alerts = logs.records("alert");
            let outcomes: Vec<_> = alerts.iter().map(|alert| metadata(alert, "smsentry_outcome")).collect();
            assert_eq!(outcomes, ["exposed"; 50]);
            Ok(())
        };
        (0..3).for_each(|round| prompt(|| run(round)));
    });
}

/// As long as the ring is never empty only the packets advance the clock, and that time is not counted twice.
#[test]
fn clock_is_right_after_a_busy_period() {
    in_namespace(|| {
        create_link();
        let mut sender = Sender::on("probe1");
        prompt(|| {
            let logs = Logs::new();
            let arguments = ["-i", "probe0", "-l", logs.path(), "--outcome-timeout", "1.5", "--lanes", "0"];
            let sensor = Sensor::start(&[&arguments[..], &["--set", "block.packets=1"]].concat());
            std::thread::sleep(Duration::from_millis(300));
            sensor.signal("-STOP");
            for port in 41_000..41_100 {
                send(&mut sender, Connection::whole(port, "/index.html"));
                std::thread::sleep(Duration::from_millis(20));
            }
            let mut held = Connection::new(40_001);
            send(&mut sender, held.open());
            let asked = Instant::now();
            sender.send(&held.ask("/sms_config.json"));
            // Until the kernel has delivered the last part of its ring.
            std::thread::sleep(Duration::from_millis(150));
            sensor.signal("-CONT");
            std::thread::sleep(Duration::from_millis(700));
            sender.send(&held.answer("200 OK"));
            let answered = asked.elapsed();
            eventually(3, || !logs.records("alert").is_empty(), || sensor.messages());
            let alerts = logs.records("alert");
            sensor.finish();
            // A later response may rightly miss the deadline.
            below(answered, Duration::from_millis(1400), "the sender")?;
            assert_eq!(metadata(&alerts[0], "smsentry_outcome"), "exposed", "after {answered:?}");
            Ok(())
        });
    });
}

#[test]
fn interface_that_goes_away_is_reported_and_waited_for() {
    in_namespace(|| {
        create_link();
        let logs = Logs::new();
        let sensor = Sensor::start(&["-i", "probe0", "-l", logs.path(), "--lanes", "0"]);
        let mut found = 0;
        let mut probe = |what: &str| {
            found += 1;
            send(&mut Sender::on("probe1"), Connection::whole(40_000 + found, "/sms_config.json"));
            let seen = || logs.records("alert").len() == usize::from(found);
            eventually(3, seen, || format!("{what}: {}", sensor.messages()));
        };
        probe("at first");
        ip("link set probe0 down");
        sensor.wait_for("probe0: the interface is down; waiting for it", 3);
        ip("link set probe0 up");
        sensor.wait_for("probe0: the interface captures again", 3);
        probe("after down and up");
        ip("link del probe0");
        sensor.wait_for("probe0: the interface was removed; waiting for it", 3);
        create_link();
        eventually(3, || sensor.messages().matches("captures again").count() == 2, || sensor.messages());
        probe("after it was made anew");
        ip("link set probe0 down");
        eventually(3, || sensor.messages().matches("is down").count() == 2, || sensor.messages());
        sensor.finish();
        // `any` includes the loopback.
        ip("link set lo up");
        ip("link set probe0 up");
        let logs = Logs::new();
        let sensor = Sensor::start(&["-i", "any", "-l", logs.path()]);
        send(&mut Sender::on("probe1"), Connection::whole(41_000, "/sms_config.json"));
        eventually(3, || !logs.records("alert").is_empty(), || sensor.messages());
        assert!(sensor.messages().contains("listening on any, link type LINUX_SLL"), "{}", sensor.messages());
        sensor.finish();
    });
}

#[test]
fn errors_are_reported_in_one_line() {
    in_namespace(|| {
        create_link();
        let reported = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output().unwrap();
            assert!(output.stdout.is_empty());
            let messages = String::from_utf8(output.stderr).unwrap();
            assert_eq!(messages.lines().count(), 1, "{messages}");
            (output.status.code(), messages)
        };
        let (code, messages) = reported(BINARY, &["-i", "probe7"]);
        assert_eq!(code, Some(1), "{messages}");
        assert!(messages.contains("probe7: no such interface") && messages.contains("probe0"), "{messages}");
        let (code, messages) = reported(BINARY, &["-i", "probe0", "wlan type data"]);
        assert_eq!(code, Some(2), "{messages}");
        // A user without rights must be able to execute the program.
        let place = tempfile::tempdir().unwrap();
        let program = place.path().join("smsentry");
        std::fs::copy(BINARY, &program).unwrap();
        for path in [place.path(), &program] {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        if Command::new("setpriv").arg("--version").output().is_err() {
            return eprintln!("SKIPPED the missing privilege: no setpriv");
        }
        let program = program.to_str().unwrap();
        for interface in ["probe0", "any"] {
            let drop_all = ["--reuid", "65534", "--regid", "65534", "--clear-groups", program, "-i", interface];
            let (code, messages) = reported("setpriv", &drop_all);
            assert_eq!(code, Some(1), "{messages}");
            assert!(messages.contains("CAP_NET_RAW") && messages.contains("setcap cap_net_raw+ep "), "{messages}");
        }
    });
}
