//! Formats a signature as one line of JSON, for programs that list signatures. Records are formatted by the other
//! files.

use serde_json::{Value, json};

use super::json;
use crate::signature::{Example, Pattern, Signature};

/// Appends a signature as one JSON object and an LF. Every field is present, by its name in signature files. `location`
/// is the `file:line` that it was read from.
pub fn write_signature(out: &mut Vec<u8>, signature: &Signature, location: &str) {
    let (file, line) = location.rsplit_once(':').unwrap_or((location, ""));
    let line = line.parse::<u64>().ok();
    let exposed = &signature.exposed;
    let (proof, present) = match exposed.proven_by_type {
        true => (exposed.content_types.as_slice(), exposed.present_types.as_slice()),
        false => (Default::default(), exposed.content_types.as_slice()),
    };
    let status: serde_json::Map<String, Value> =
        exposed.status.iter().map(|(code, outcome)| (code.to_string(), outcome.name().into())).collect();
    let body: Vec<&str> = exposed.body.iter().map(|test| test.as_str()).collect();
    let webhook = signature
        .legitimate
        .webhook
        .as_ref()
        .map(|webhook| json!({"agents": webhook.agents, "fields": webhook.fields}));
    let mitre = signature.mitre.as_ref().map(|mitre| {
        json!({
            "tactic_id": mitre.tactic_id, "tactic_name": mitre.tactic_name,
            "technique_id": mitre.technique_id, "technique_name": mitre.technique_name,
        })
    });
    let query: Vec<String> = signature
        .query
        .iter()
        .map(|condition| match &condition.value {
            Some(value) => format!("{}={value}", condition.key),
            None => condition.key.clone(),
        })
        .collect();
    let object = json!({
        "id": signature.id,
        "rev": signature.rev,
        "slug": signature.slug,
        "title": signature.title,
        "family": signature.family,
        "product": signature.product,
        "status": signature.status(),
        "severity": signature.severity,
        "confidence": signature.confidence.name(),
        "match": pattern(signature),
        "methods": signature.methods,
        "query": query,
        "exposed": {"proof": proof, "present": present, "status": status, "body": body},
        "legitimate": {"after_page": signature.legitimate.after_page, "webhook": webhook},
        "references": signature.references,
        "cve": signature.cve,
        "mitre": mitre,
        "created_at": signature.created_at,
        "updated_at": signature.updated_at,
        "hits": examples(&signature.hits),
        "misses": examples(&signature.misses),
        "file": file,
        "line": line,
    });
    json::append(&object, out);
    out.push(b'\n');
}

fn pattern(signature: &Signature) -> Value {
    let mut object = match &signature.pattern {
        Pattern::Text(kind, patterns) => json!({(kind.name()): patterns}),
        Pattern::PathFile(name, count) => json!({"path_file": name, "paths": count}),
        Pattern::Words(lists) => json!({"words": lists.iter().map(|list| &**list).collect::<Vec<_>>()}),
    };
    let scope = &signature.scope;
    if !scope.unless.is_empty() {
        object["unless"] = json!(&*scope.unless);
    }
    if let Some(last) = scope.last {
        object["last"] = json!(last);
        object["only"] = json!(scope.only);
    }
    object
}

fn examples(examples: &[Example]) -> Vec<String> {
    let text = |example: &Example| match example.method.as_str() {
        "GET" => example.target.clone(),
        method => format!("{method} {}", example.target),
    };
    examples.iter().map(text).collect()
}
