//! smsentry: a network sensor for one job. It tells a network's owner that somebody is looking for SMS gateways, SMS
//! APIs or the credentials that send SMS, and whether they found them.
//!
//! ```text
//! Source ─► Block ─► decode ─► lanes ─► flow ─► http ─► uri ─► signature ─► outcome ─► desk ─► format ─► output
//! file/NIC  packets  Segment   by flow  bytes   request normal  perfect     response   order    EVE/Zeek  stdout,
//!           in slab  | Skip    hash     | gap   response form   hash        seen?                line      file
//! ```
//!
//! One way, no way back. Each stage hands on a borrowed view; the first owned bytes are those of a request that is held
//! for its answer.
//!
//! # Layers
//!
//! A module imports only what stands before it here; a test reads the imports and fails on a breach.
//!
//! | layer | what it is | what it is not |
//! |---|---|---|
//! | [`time`], [`mod@counters`], [`packet`], [`segment`], [`table`], [`source_addr`] | the words that all others speak | no decisions |
//! | [`decode`] | frame bytes to a TCP segment | no streams |
//! | [`flow`] | segments to bytes in order | no meaning of bytes |
//! | [`http`] | bytes to requests and responses, paired | no opinion on targets |
//! | [`uri`], [`signature`] | a target's normal forms, and what they match | no traffic |
//! | [`outcome`] | what an answer means | no pairing |
//! | [`record`] | what is told | no format |
//! | [`sensor`] | all of the above wired: segments in, records out | no clock, no thread |
//! | [`alerts`] | the ordered records of all flows: context, suppression, threshold, campaigns | no threads, no order |
//! | [`mod@export`] | signatures as rules of other tools | no records |
//! | [`format`](mod@format) | records to lines | no files |
//! | [`sys`] | console, poll, signals, interfaces | no policy |
//! | [`capture`], [`logs`] | where frames come from, where lines go | no decoding, no formatting |
//! | [`stats`] | counters of all modules | no counting |
//! | [`pipeline`] | dispatcher, lanes, channel, clock | no order of records |
//! | [`output`] | the ordered stage: alerts, format, write | no decisions on alerts |
//! | [`app`] | configuration, wiring, the run | no command line |
//!
//! # Invariants
//!
//! * **Below `sys` everything is a function of its input**: no thread, no I/O, no clock, no `unsafe`. Time is that of
//!   the packets, made monotone by [`pipeline::clock`], and travels with every segment.
//! * **Nothing depends on where a block ends**, on the number of lanes, or on the keys of the tables: the output of a
//!   replay is the same, byte for byte. Flows live in 16 shards; what shards share by limit is shared out among them, and
//!   a deadline is settled with itself as its time, before anything later in its shard.
//! * **One path**: replay and live, inline and threaded run the same functions. Only where the blocks come from and who
//!   runs a lane differ.
//! * **Everything is bounded and counted.** Hostile input has a counter, never a log line; [`sensor::Sensor::feed`] cannot
//!   fail.
//! * **Pairs are proven, not guessed**: a response answers a request only if its first segment acknowledges that request's
//!   head.

pub mod time;

pub mod counters;

pub mod packet;

pub mod segment;

pub mod table;

pub mod source_addr;

pub mod decode;
pub mod flow;

pub mod http;

pub mod uri;

pub mod signature;

pub mod outcome;

pub mod record;

pub mod sensor;

pub mod alerts;

pub mod export;
pub mod format;

pub mod app;
pub mod capture;
pub mod logs;
pub mod output;
pub mod pipeline;
pub mod stats;
pub mod sys;
