//! The program on a virtual link, for the live tests: start, watch, signal, end; and HTTP conversations as frames.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etherparse::PacketBuilder;
use serde_json::Value;

use crate::support::virtual_link::Sender;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_smsentry");

/// Factor of every deadline: they say that something happens at all, and a busy machine may need far longer than an
/// idle one. Promptness is checked by [`prompt`].
const PATIENCE: u32 = 20;

/// A file that should not be accessible.
const SECRET: &str = r#"{"api_key":"made up"}"#;

/// A running smsentry that does not outlive the test.
pub(crate) struct Sensor {
    child: Child,
    messages: Arc<Mutex<String>>,
    listener: Option<std::thread::JoinHandle<()>>,
    pub(crate) stdout: Option<ChildStdout>,
}

impl Sensor {
    /// Starts with these arguments and waits until it captures.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let messages = Arc::new(Mutex::new(String::new()));
        let (stderr, log) = (child.stderr.take().unwrap(), Arc::clone(&messages));
        let listener = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                log.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        let stdout = child.stdout.take();
        let sensor = Self { child, messages, listener: Some(listener), stdout };
        sensor.wait_for("signatures loaded", 10);
        sensor
    }

    /// Its messages so far.
    pub(crate) fn messages(&self) -> String {
        self.messages.lock().unwrap().clone()
    }

    pub(crate) fn wait_for(&self, words: &str, seconds: u64) {
        eventually(seconds, || self.messages().contains(words), || format!("{words:?} in\n{}", self.messages()));
    }

    /// Requests statistics until the counters file has this counter at `least` or more.
    pub(crate) fn wait_for_counter(&self, logs: &Logs, name: &str, least: u64) {
        let reached = || {
            self.signal("-USR1");
            std::thread::sleep(Duration::from_millis(50));
            let text = std::fs::read_to_string(logs.file("counters.json")).unwrap_or_default();
            let counters: Option<Value> = serde_json::from_str(&text).ok();
            counters.is_some_and(|counters| counters[name].as_u64() >= Some(least))
        };
        eventually(3, reached, || format!("{name} {least}: {}", self.messages()));
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits until it has ended by itself, at most [`PATIENCE`] times `longest`. Returns its exit code and all its messages.
    pub(crate) fn ended_within(mut self, longest: Duration) -> (Option<i32>, String) {
        let (begun, longest) = (Instant::now(), longest * PATIENCE);
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < longest, "still there after {longest:?}:\n{}", self.messages());
            std::thread::sleep(Duration::from_millis(5));
        };
        if let Some(listener) = self.listener.take() {
            listener.join().unwrap();
        }
        (status.code(), self.messages())
    }

    /// Ends it by a signal, which must take effect within so many seconds.
    pub(crate) fn end(self, signal: &str, seconds: f64) -> (Option<i32>, String) {
        self.signal(signal);
        self.ended_within(Duration::from_secs_f64(seconds))
    }

    /// Ends it in order: exit code 0 in time.
    pub(crate) fn finish(self) -> String {
        let (code, messages) = self.end("-TERM", 2.0);
        assert_eq!(code, Some(0), "{messages}");
        messages
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the condition holds, at most [`PATIENCE`] times so many seconds.
pub(crate) fn eventually(seconds: u64, what: impl Fn() -> bool, describe: impl Fn() -> String) {
    let (begun, longest) = (Instant::now(), Duration::from_secs(seconds) * PATIENCE);
    while !what() {
        assert!(begun.elapsed() < longest, "after {longest:?} not: {}", describe());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a scenario whose timing a busy machine can disturb, until it succeeds, at most ten times. The scenario asserts
/// what must always hold, and returns an error where only the time was wrong.
pub(crate) fn prompt(mut scenario: impl FnMut() -> Result<(), String>) {
    let mut errors = Vec::new();
    while let Err(error) = scenario() {
        errors.push(error);
        assert!(errors.len() < 10, "every time: {errors:#?}");
    }
}

/// An error if `time` is not below `limit`.
pub(crate) fn below(time: Duration, limit: Duration, what: &str) -> Result<(), String> {
    if time < limit { Ok(()) } else { Err(format!("{what}: {time:?}, {limit:?} allowed")) }
}

/// A directory for the logs of a run.
pub(crate) struct Logs(tempfile::TempDir);

impl Logs {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The EVE records of this type so far; every line but one that is being written must be complete.
    pub(crate) fn records(&self, event: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.file("eve.json")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        of_type(&parsed(whole), event)
    }

    pub(crate) fn counter(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(self.file("counters.json")).unwrap();
        let all: Value = serde_json::from_str(&text).unwrap();
        all[name].as_u64().unwrap_or_else(|| panic!("no counter {name} in {text}"))
    }
}

/// The EVE records of a log that is no longer written; every line must be complete.
pub(crate) fn records_of(path: &Path) -> Vec<Value> {
    parsed(&std::fs::read_to_string(path).unwrap_or_default())
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))).collect()
}

pub(crate) fn of_type(records: &[Value], event: &str) -> Vec<Value> {
    records.iter().filter(|record| record["event_type"] == event).cloned().collect()
}

/// The alert's value of one of our own keys.
pub(crate) fn metadata<'a>(alert: &'a Value, key: &str) -> &'a str {
    alert["alert"]["metadata"][key][0].as_str().unwrap_or_default()
}

/// A connection to 192.0.2.80, as frames.
pub(crate) struct Connection {
    pub(crate) port: u16,
    pub(crate) server_port: u16,
    /// VLAN tags: ethertype and id.
    pub(crate) tags: Vec<(u16, u16)>,
    pub(crate) server_mac: [u8; 6],
    asked: u32,
    answered: u32,
}

impl Connection {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, server_port: 80, tags: Vec::new(), server_mac: [0xff; 6], asked: 1001, answered: 5001 }
    }

    /// SYN, SYN-ACK, ACK.
    pub(crate) fn open(&mut self) -> Vec<Vec<u8>> {
        (self.asked, self.answered) = (1000, 5000);
        let syn = self.to_server(|tcp| tcp.syn(), b"");
        self.asked = 1001;
        let syn_ack = self.to_client(|tcp| tcp.syn().ack(1001), b"");
        self.answered = 5001;
        vec![syn, syn_ack, self.to_server(|tcp| tcp.ack(5001), b"")]
    }

    pub(crate) fn ask(&mut self, target: &str) -> Vec<u8> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: www.example.org\r\n\r\n");
        let answered = self.answered;
        let frame = self.to_server(|tcp| tcp.psh().ack(answered), request.as_bytes());
        self.asked += u32::try_from(request.len()).unwrap();
        frame
    }

    pub(crate) fn answer(&mut self, status: &str) -> Vec<u8> {
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", SECRET.len());
        let response = head + SECRET;
        let asked = self.asked;
        let frame = self.to_client(|tcp| tcp.psh().ack(asked), response.as_bytes());
        self.answered += u32::try_from(response.len()).unwrap();
        frame
    }

    /// A complete connection with one request, left open.
    pub(crate) fn whole(port: u16, target: &str) -> Vec<Vec<u8>> {
        let mut connection = Self::new(port);
        let mut frames = connection.open();
        frames.push(connection.ask(target));
        frames.push(connection.answer("404 Not Found"));
        frames
    }

    fn to_server(&self, flags: impl Fn(Tcp) -> Tcp, payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], self.server_mac)
            .ipv4([192, 0, 2, 7], [192, 0, 2, 80], 64)
            .tcp(self.port, self.server_port, self.asked, 64_000);
        self.tagged(flags(builder), payload)
    }

    fn to_client(&self, flags: impl Fn(Tcp) -> Tcp, payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(self.server_mac, [2, 0, 0, 0, 0, 1])
            .ipv4([192, 0, 2, 80], [192, 0, 2, 7], 64)
            .tcp(self.server_port, self.port, self.answered, 64_000);
        self.tagged(flags(builder), payload)
    }

    fn tagged(&self, builder: Tcp, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        builder.write(&mut frame, payload).unwrap();
        let tags = self.tags.iter().flat_map(|(kind, id)| [kind.to_be_bytes(), id.to_be_bytes()].concat());
        frame.splice(12..12, tags);
        frame
    }
}

type Tcp = etherparse::PacketBuilderStep<etherparse::TcpHeader>;

pub(crate) fn send(sender: &mut Sender, frames: impl IntoIterator<Item = Vec<u8>>) {
    frames.into_iter().for_each(|frame| sender.send(&frame));
}
