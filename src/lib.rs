//! smsentry is a network sensor that reports requests for SMS gateways, SMS APIs, SMS plugins and the credentials that send
//! SMS, and whether the server disclosed the requested resource.
//!
//! The entry points are two types. [`signature::Signatures`] matches request targets (`examples/match_urls.rs`):
//!
//! ```
//! use std::sync::Arc;
//!
//! use smsentry::signature::{CachedMatcher, Signatures};
//!
//! let signatures = Signatures::builtin().expect("the built-in signatures are checked by the build");
//! let mut matcher = CachedMatcher::new(Arc::new(signatures));
//! let found = matcher.find(b"GET", b"/%73ms_config.json?x=1").expect("a probe");
//! assert_eq!(found.signature.slug, "sms-config-json");
//! assert_eq!(found.matched, b"/sms_config.json");
//! assert!(matcher.find(b"GET", b"/index.html").is_none());
//! ```
//!
//! [`sensor::Sensor`] turns TCP segments into records (`examples/replay.rs` reads a capture file with it). A whole run, as
//! the command line starts it, is [`app::run`].
//!
//! # Architecture
//!
//! ```text
//! capture ─► Block ─► decode ─► dispatcher ─► lanes: flow ─► http ─► uri ─► signature ─► outcome ─► output: alerts ─► format ─► logs
//! file/NIC   frames   Segment    by flow      TCP     request  normal  perfect     response        order, context,  EVE/     stdout,
//!            in slab  | Skip     hash         bytes   response form    hash        seen?           suppress,        Zeek     file
//!                                             | gap                                                campaign
//! ```
//!
//! Data goes one way. Each stage hands on a borrowed view; the first owned bytes are those of a request that is held until
//! its response is known. A module imports only modules above it in this table; a test reads the imports and fails on a
//! breach, on a circle between the files of a folder, and on an importer of an external crate that is not listed for it.
//!
//! | module | contents | not its task |
//! |---|---|---|
//! | [`time`], [`mod@counters`], [`packet`], [`segment`], [`table`], [`source_addr`] | types shared by all others | decisions |
//! | [`decode`] | frame bytes to a TCP segment: link types, VLAN, tunnels, IP fragments | streams |
//! | [`flow`] | segments to bytes in order, gaps, expiry | the meaning of bytes |
//! | [`http`] | bytes to requests and responses, paired | matching |
//! | [`uri`], [`signature`] | the normal forms of a target, and what they match | traffic |
//! | [`outcome`] | what a response means for a probe | pairing |
//! | [`record`] | plain owned data: alerts, transactions, campaigns, statistics | formats |
//! | [`sensor`] | all of the above combined: segments in, events out | threads, clocks |
//! | [`alerts`] | the ordered stream: context, suppression, threshold, campaigns | ordering, writing |
//! | [`mod@export`] | signatures as rules of other tools | records |
//! | [`format`](mod@format) | records to lines | files |
//! | [`sys`] | console, poll, signals, network interfaces | what a signal means |
//! | [`capture`] | packet sources: capture files and interfaces, BPF filters | decoding |
//! | [`logs`] | where lines go | formatting |
//! | [`stats`] | the counters of all modules in one place | counting |
//! | [`pipeline`] | dispatcher, lanes, and the channel to the output stage | the order of records |
//! | [`output`] | the output stage: order, alerts, format, write | decisions on alerts |
//! | [`app`] | configuration, loading, wiring, the run | the command line |
//!
//! # Invariants
//!
//! * **The modules before [`sys`] in this table are functions of their input**: no thread, no I/O, no clock, no `unsafe`. Time is that of the
//!   packets, made monotone by [`pipeline::clock`], and travels with every segment.
//! * **Nothing depends on where a block ends**, on the number of lanes, or on the keys of the tables: the output of a replay
//!   is the same, byte for byte. Flows live in 16 shards; limits shared between flows are divided among the shards; a
//!   deadline is handled as of its own time, before anything later in its shard.
//! * **One path**: replay and live capture, inline and threaded, run the same functions. Only the packet source and the
//!   thread that runs a lane differ.
//! * **Everything is bounded and counted.** Hostile input increments a counter and is never logged per packet;
//!   [`sensor::Sensor::feed`] cannot fail.
//! * **Pairs are proven, not guessed**: a response answers a request only if its first segment acknowledges that request's
//!   head.
//!
//! # Glossary
//!
//! | term | meaning |
//! |---|---|
//! | block | a recycled slab of captured frames, the unit in which a packet source delivers ([`capture::block`]) |
//! | batch | a block with its segments listed by lane |
//! | lane | runs whole shards over its share of each batch; Suricata's flow worker |
//! | shard | a sixteenth of the flows, with its own tables and limits ([`sensor::Sensor`]) |
//! | gap | bytes of a stream that the capture does not contain |
//! | transaction | a request and its response |
//! | probe | a request that a signature matches |
//! | supporting signature | one with `status = "support"`: never alerts alone, counts in campaigns |
//! | outcome | what came of a probe: `exposed`, `present`, `not_found`, … ([`signature::Outcome`]) |
//! | candidate | one decoding of a request target in normal form; any of them may match ([`uri`]) |
//! | evasion | what was undone to reach the normal form: percent-encoding, dot segments, … |
//! | campaign | the probes of one source address within a time window ([`alerts::campaign`]) |
//! | context | signs of legitimate use around a hit: a page before it, a provider's webhook ([`alerts::context`]) |
//! | threshold | rate limit of repeated alerts ([`alerts::threshold`]) |

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

pub mod sys;

pub mod capture;
pub mod logs;

pub mod stats;

pub mod pipeline;

pub mod output;

pub mod app;
