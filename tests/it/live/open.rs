//! Opening an interface: its description, and errors.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use smsentry::capture::bpf::Filter;
use smsentry::capture::live::{LiveError, LiveOptions, LiveSource, list_interfaces};

use crate::support::virtual_link::{
    Namespace, Process, create_link, create_link_to, in_namespace, is_inside, options, receive, test_of,
};

#[test]
fn open_errors_name_a_remedy() {
    in_namespace(|| {
        create_link();
        let open = |options| LiveSource::open(options, 0).map(drop);
        let error = open(LiveOptions::new("probe7")).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, LiveError::NoSuchInterface { .. }) && message.contains("probe0"), "{message}");
        let names: Vec<_> = list_interfaces().unwrap().into_iter().map(|interface| interface.name).collect();
        assert!(["probe0", "any"].iter().all(|name| names.contains(&(*name).to_owned())), "{names:?}");
        let wrong = Filter::new("wlan type data").unwrap();
        let error = open(LiveOptions { filter: Some(wrong), ..options() }).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        // Without the privilege: the same test binary with its capabilities removed.
        let itself = std::env::current_exe().unwrap();
        let test = test_of(&open).replace("open_errors_name_a_remedy", "open_without_privilege_fails");
        let test = test.trim_end_matches("::{{closure}}");
        let drop_it = ["--bounding-set=-net_raw", "--inh-caps=-net_raw", "--"];
        let Ok(output) = Command::new("setpriv").args(drop_it).arg(itself).args([test, "--exact"]).output() else {
            return eprintln!("SKIPPED the missing privilege: no setpriv");
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    });
}

#[test]
fn open_without_privilege_fails() {
    // Meaningful only in the child of the test above.
    if is_inside() {
        let error = LiveSource::open(options(), 0).map(drop).unwrap_err();
        assert_eq!(error, LiveError::NotPermitted { interface: "probe0".into() });
    }
}

#[test]
fn merged_segments_are_captured_whole_and_offloads_reported() {
    const ROLE: &str = "SMSENTRY_TEST_ROLE";
    let name = "merged_segments_are_captured_whole_and_offloads_reported";
    if std::env::var(ROLE).as_deref() == Ok("server") {
        let mut stream = TcpListener::bind("192.0.2.2:8080").unwrap().accept().unwrap().0;
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        return assert_eq!(all.len(), 1 << 20);
    }
    in_namespace(|| {
        // The other end of the link in its own namespace, so that TCP really crosses it.
        let Some(other) = Namespace::new("other-end") else { return };
        create_link_to(&other);
        let test = test_of(&|| ()).replace("::{{closure}}", "");
        for offloads in ["on", "off"] {
            let set = |mut command: Command, interface| {
                let words = ["-K", interface, "gro", offloads, "gso", offloads, "tso", offloads];
                command
                    .args(words)
                    .stderr(Stdio::null())
                    .stdout(Stdio::null())
                    .status()
                    .is_ok_and(|done| done.success())
            };
            if !set(Command::new("ethtool"), "probe0") || !set(other.exec("ethtool"), "probe1") {
                return eprintln!("SKIPPED {name}: no ethtool");
            }
            let mut source = LiveSource::open(options(), 0).unwrap();
            let described = source.description().offloads.first().cloned();
            assert_eq!(described.is_some(), offloads == "on", "{described:?}");
            if let Some(described) = described {
                assert!(described.on.contains(&"gro") && described.on.contains(&"tso"), "{described}");
                assert!(described.to_string().contains("ethtool -K probe0 gro off"), "{described}");
            }
            let itself = std::env::current_exe().unwrap();
            let server = other.exec(itself.to_str().unwrap()).args([&test, "--exact"]).env(ROLE, "server").spawn();
            let server = Process(server.unwrap());
            let mut stream = (0..1200).find_map(|_| {
                std::thread::sleep(Duration::from_millis(50));
                TcpStream::connect_timeout(&"192.0.2.2:8080".parse().unwrap(), Duration::from_secs(1)).ok()
            });
            stream.as_mut().unwrap().write_all(&vec![b'x'; 1 << 20]).unwrap();
            drop(stream);
            server.succeed();
            let frames = receive(&mut source, 1);
            // Payload to the server by sequence number, so that a retransmission counts once.
            let mut segments = std::collections::BTreeMap::new();
            for bytes in frames.iter().filter(|bytes| bytes.get(36..38) == Some(&8080_u16.to_be_bytes())) {
                let total = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
                let payload = total.max(bytes.len() - 14) - 20 - usize::from(bytes[46] >> 4) * 4;
                assert_eq!(bytes.len() - 14, total, "cut");
                segments.insert(u32::from_be_bytes(bytes[38..42].try_into().unwrap()), payload);
            }
            let longest = segments.values().max().copied().unwrap_or(0);
            assert_eq!(segments.values().sum::<usize>(), 1 << 20, "the longest of {} is {longest}", segments.len());
            assert_eq!(longest > 1500, offloads == "on", "{longest}");
            assert_eq!(source.statistics().read().kernel_drops, 0);
        }
    });
}
