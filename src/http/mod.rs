//! HTTP/1 as servers read it: requests and responses split out of the two byte streams of a flow, bodies skipped to
//! find the next message, and every response paired with the request it answers.

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

/// A request's head, borrowed: the first owned bytes are those of a request that is held.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Number of the request in its flow, from 0.
    pub tx_id: u32,
    /// Method as on the wire.
    pub method: &'a [u8],
    /// Request target as on the wire.
    pub target: &'a [u8],
    /// `HTTP/1.1` as on the wire; empty where the line has none (HTTP/0.9).
    pub protocol: &'a [u8],
    /// Value of the first `Host` field, blanks trimmed.
    pub host: Option<&'a [u8]>,
    /// Value of the first `User-Agent` field.
    pub user_agent: Option<&'a [u8]>,
    /// Value of the first `Referer` field.
    pub referrer: Option<&'a [u8]>,
    /// Value of the first `X-Forwarded-For` field.
    pub forwarded_for: Option<&'a [u8]>,
    /// Whether the head was cut by a limit, a gap or the end of the flow.
    pub truncated: bool,
}

/// A response's head, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// Status code, 100 to 999.
    pub status: u16,
    /// Reason phrase.
    pub reason: &'a [u8],
    /// Value of the first `Content-Type` field.
    pub content_type: Option<&'a [u8]>,
    /// Value of the first `Location` field.
    pub location: Option<&'a [u8]>,
    /// `Content-Length`, where there is a valid one.
    pub content_length: Option<u64>,
}

/// Who is told what is found in a flow.
pub trait Handler {
    /// A request's head ended, or was cut and is judged as it stands.
    fn request(&mut self, request: &Request<'_>);
    /// The body of a request ended, or can't be followed further; `body` bytes were seen.
    fn request_end(&mut self, tx_id: u32, body: u64);
    /// The final answer (or 101) of a request began.
    fn response(&mut self, tx_id: u32, response: &Response<'_>);
    /// That answer ended, or can't be followed further; `body` bytes of it were seen. Follows `response`.
    fn response_end(&mut self, tx_id: u32, body: u64);
    /// The answer of a request can no longer be known (gap, limit): `response` will not be called.
    fn unseen(&mut self, tx_id: u32);
}

crate::counters! {
    /// What this room counts.
    pub struct Counters {
        /// Requests found.
        requests: "http.requests",
    }
}
