//! Writes a list of texts as one expression in which common prefixes appear once. The expressions around it are written
//! by [`super::path`](mod@super::path).
//!
//! Engines that try one alternative after the other leave such a tree at the first byte that fits none of the texts,
//! and rules have a maximum length that a list of several hundred words would exceed.

/// Returns an expression for any of `texts`, which are sorted and distinct; `byte` writes one byte, `group` opens a
/// group.
pub(super) fn tree(texts: &[&[u8]], group: &str, byte: &dyn Fn(u8) -> String) -> String {
    let (optional, rest) = match texts.split_first() {
        Some(([], rest)) => (true, rest),
        _ => (false, texts),
    };
    // Bytes, and the texts that may follow any of them.
    let mut branches: Vec<(Vec<u8>, Vec<&[u8]>)> = Vec::new();
    for same in rest.chunk_by(|a, b| a.first() == b.first()) {
        let Some(&head) = same.first().and_then(|text| text.first()) else { continue };
        let below: Vec<&[u8]> = same.iter().filter_map(|text| text.get(1..)).collect();
        match branches.iter_mut().find(|(_, known)| *known == below) {
            Some((heads, _)) => heads.push(head),
            None => branches.push((vec![head], below)),
        }
    }
    let branch = |(heads, below): &(Vec<u8>, Vec<&[u8]>)| {
        let head = any_byte(heads, group, byte);
        match **below {
            // A single suffix is written without recursion, so that the depth does not grow with the length of a text.
            [only] => head + &only.iter().map(|&next| byte(next)).collect::<String>(),
            _ => head + &tree(below, group, byte),
        }
    };
    let all: Vec<String> = branches.iter().map(branch).collect();
    match (&*all, optional) {
        ([], _) => String::new(),
        ([only], false) => only.clone(),
        ([only], true) if only.len() == 1 => format!("{only}?"),
        (_, optional) => format!("{group}{}){}", all.join("|"), if optional { "?" } else { "" }),
    }
}

/// Returns an expression for one of several bytes.
fn any_byte(heads: &[u8], group: &str, byte: &dyn Fn(u8) -> String) -> String {
    let all: Vec<String> = heads.iter().map(|&head| byte(head)).collect();
    match *heads {
        [_] => all.concat(),
        // Only these have no special meaning in a class in any dialect.
        _ if heads.iter().all(u8::is_ascii_alphanumeric) => format!("[{}]", all.concat()),
        _ => format!("{group}{})", all.join("|")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    fn of(texts: &[&str]) -> String {
        let texts: BTreeSet<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        tree(&texts.into_iter().collect::<Vec<_>>(), "(?:", &|byte| char::from(byte).to_string())
    }

    #[test]
    fn common_prefixes_appear_once() {
        assert_eq!(of(&["sms", "smsapi", "smsapp"]), "sms(?:ap[ip])?");
        assert_eq!(of(&["key", "keys"]), "keys?");
        assert_eq!(of(&["asms", "bsms", "c"]), "(?:[ab]sms|c)");
        assert_eq!(of(&["one"]), "one");
    }

    proptest! {
        #[test]
        fn expression_matches_exactly_the_texts(
            texts in prop::collection::btree_set("[ab/]{1,5}", 1..20),
            other in "[ab/]{1,6}",
        ) {
            let sorted: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
            let expression = tree(&sorted, "(?:", &|byte| char::from(byte).to_string());
            let found = Regex::new(&format!("^(?:{expression})$")).unwrap();
            prop_assert!(texts.iter().all(|text| found.is_match(text)), "{}", expression);
            prop_assert_eq!(found.is_match(&other), texts.contains(&other), "{}", expression);
        }
    }
}
