//! smsentry: a network sensor for one job. It tells a network's owner that somebody is looking for SMS
//! gateways, SMS APIs or the credentials that send SMS, and whether they found them.
//!
//! ```text
//! Source ─► Block ─► decode ─► lanes ─► flow ─► http ─► uri ─► signature ─► outcome ─► desk ─► format ─► output
//! file/NIC  packets  Segment   by flow  bytes   request normal  perfect     response   order    EVE/Zeek  stdout,
//!           in slab  | Skip    hash     | gap   response form   hash        seen?                line      file
//! ```
//!
//! One way, no way back. The modules stand in the order of the data.

pub mod time;

pub mod counters;

pub mod packet;

pub mod segment;

pub mod table;

pub mod decode;
pub mod flow;

pub mod http;

pub mod uri;

pub mod signature;

pub mod outcome;

pub mod record;

pub mod sensor;

pub mod format;

pub mod runtime;
