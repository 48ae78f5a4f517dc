//! The bodies of the fuzz targets: they interpret the bytes and check the properties. They don't depend on libFuzzer,
//! so that the tests replay stored cases and seeds through the same functions.

mod capture_file;
mod defrag;
mod frame;
mod http_stream;
mod lines;
mod packet;
mod signature_file;
mod tcp_script;
mod uri;

pub use capture_file::capture_file;
pub use defrag::defrag;
pub use frame::{LINKS, frame};
pub use http_stream::http_stream;
pub use signature_file::signature_file;
pub use tcp_script::tcp_script;
pub use uri::uri;

/// The body of a target. Panics if a property is violated.
pub type Body = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Body); 7] = [
    ("frame", frame),
    ("capture_file", capture_file),
    ("tcp_script", tcp_script),
    ("http_stream", http_stream),
    ("uri", uri),
    ("defrag", defrag),
    ("signature_file", signature_file),
];
