//! Formats all counters as one JSON object, including those that EVE's `stats` has no key for.

use std::borrow::Cow;

/// Returns one line of JSON: the counters by their published names, in the given order.
#[must_use]
pub fn counters_line(counters: Vec<(Cow<'static, str>, u64)>) -> Vec<u8> {
    let object: serde_json::Map<String, serde_json::Value> =
        counters.into_iter().map(|(name, value)| (name.into_owned(), value.into())).collect();
    let mut line = serde_json::Value::Object(object).to_string().into_bytes();
    line.push(b'\n');
    line
}
