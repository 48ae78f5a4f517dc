//! The table with a million patterns beside the table with a hundred: what a target costs, what is looked at, how long
//! loading takes and what it holds. Times are measured by the tests that are run in release mode: `make scale`.

use std::time::{Duration, Instant};

use smsentry::signature::Signatures;
use smsentry::uri::Normaliser;

use super::patterns::{listed, load, of_every_kind, path, path_file, raw, signatures, target, words};

const TARGETS: usize = 100_000;
const RUNS: usize = 7;

/// Normalises and looks up all `targets`; the time of one.
fn pass(set: &Signatures, targets: &[String]) -> Duration {
    let mut normaliser = Normaliser::new();
    let begun = Instant::now();
    let found = targets.iter().filter(|target| {
        let candidates = normaliser.candidates(b"GET", target.as_bytes());
        set.find(b"GET", target.as_bytes(), &candidates).is_some()
    });
    assert_eq!(found.count(), 0, "a benign target is found");
    begun.elapsed() / u32::try_from(targets.len()).unwrap()
}

/// The medians of what both cost, in turn.
fn medians(sets: [&Signatures; 2], targets: &[String]) -> [Duration; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..=RUNS {
        for (times, set) in times.iter_mut().zip(sets) {
            times.push(pass(set, targets));
        }
    }
    times.map(|mut times| {
        times.remove(0);
        times.sort_unstable();
        times[RUNS / 2]
    })
}

fn compare(name: &str, sets: [&Signatures; 2], factor: f64, most: Option<Duration>) {
    let targets: Vec<String> = (0..TARGETS).map(target).collect();
    let [few, many] = medians(sets, &targets);
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    println!("{name:28} {few:>8.1?} with few, {many:>8.1?} with many, {ratio:.2} times");
    assert!(ratio <= factor, "{name}: {few:?} became {many:?}");
    assert!(most.is_none_or(|most| many <= most), "{name}: {many:?}");
}

#[test]
#[ignore = "measures time, in release mode: make scale"]
fn a_million_patterns_cost_at_most_four_times_what_a_hundred_cost() {
    let few = load(&listed(), &path_file(100)).unwrap();
    let many = load(&listed(), &path_file(1_000_000)).unwrap();
    compare("paths, 100 and 1,000,000", [&few, &many], 4.0, Some(Duration::from_micros(1)));
}
#[test]
#[ignore = "measures time, in release mode: make scale"]
fn ten_thousand_raw_patterns_and_words_cost_at_most_eight_times() {
    for (name, pattern) in [("raw, 100 and 10,000", raw as fn(usize) -> String), ("words, 100 and 10,000", words)] {
        let [few, many] = [100, 10_000].map(|count| load(&signatures(count, pattern), "").unwrap());
        compare(name, [&few, &many], 8.0, None);
    }
}
