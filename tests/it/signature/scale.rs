//! The table with a million patterns compared with a hundred: the cost of a target, the number of probes, the loading
//! time and the memory. Times are measured by the tests that run in release mode: `make scale`.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use smsentry::signature::Signatures;
use smsentry::uri::Normaliser;

use crate::flow::limits::watch;
use crate::support::program::{run, smsentry};
use smsentry_generators::word_list::{listed, load, of_every_kind, path, path_file, raw, signatures, target, words};

const MILLION: usize = 1_000_000;

const TARGETS: usize = 100_000;
const RUNS: usize = 7;

/// Normalises and looks up all `targets`. Returns the time per target.
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

/// The medians of both costs, measured in turn.
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

/// The number of probes for each target.
fn probes(set: &Signatures, targets: &[String]) -> Vec<u32> {
    let mut normaliser = Normaliser::new();
    targets.iter().map(|target| set.lookups(&normaliser.candidates(b"GET", target.as_bytes()))).collect()
}

/// The number of probes for a target that the Bloom filter of `path` patterns lets pass: for each of its candidates one
/// per boundary, and two.
fn all_of(target: &str) -> u32 {
    let mut normaliser = Normaliser::new();
    let candidates = normaliser.candidates(b"GET", target.as_bytes());
    let boundaries = |path: &[u8]| path.iter().filter(|&&byte| byte == b'/').count() as u32;
    candidates.iter().map(|candidate| boundaries(candidate.path) + 2).sum()
}

/// The cost of a target is one check, or depends on its own segments; it is the same with a hundred patterns and a
/// million.
#[test]
fn probes_are_the_same_with_a_hundred_and_a_million_patterns() {
    let [few, many] = [100, MILLION].map(|count| load(&listed(), &path_file(count)).unwrap());
    assert_eq!([few.patterns(), many.patterns()], [100, MILLION]);
    // Targets that end like a pattern of both sets pass the first check.
    let last = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let known: Vec<String> = (0..100).map(path).collect();
    let going_on: Vec<String> = (0..TARGETS / 10)
        .map(|number| format!("{}/{}", target(number).split('?').next().unwrap(), last(&known[number % 100])))
        .collect();
    let expected: Vec<u32> = going_on.iter().map(|target| all_of(target)).collect();
    assert_eq!(probes(&few, &going_on), expected);
    assert_eq!(probes(&many, &going_on), expected);
    assert_eq!(probes(&few, &known), probes(&many, &known));
    // All others cost the same or less.
    let targets: Vec<String> = (0..TARGETS).map(target).collect();
    let [of_few, of_many] = [&few, &many].map(|set| probes(set, &targets));
    for (target, counted) in targets.iter().zip(of_few.iter().zip(&of_many)) {
        assert!(*counted.0.max(counted.1) <= all_of(target), "{target}: {counted:?}");
    }
    let mean = |counts: &[u32]| f64::from(counts.iter().sum::<u32>()) / counts.len() as f64;
    println!(
        "probes a benign target: {:.4} with a hundred patterns, {:.4} with a million",
        mean(&of_few),
        mean(&of_many)
    );
}

#[test]
fn path_of_a_list_takes_under_a_hundred_bytes() {
    const PATHS: usize = 100_000;
    let set = load(&listed(), &path_file(PATHS)).unwrap();
    let bytes: usize = (0..PATHS).map(|number| path(number).len()).sum();
    let beside = (set.memory() - bytes) as f64 / PATHS as f64;
    println!("{:.1} bytes a path, {beside:.1} of them beside its letters", set.memory() as f64 / PATHS as f64);
    assert!(beside < 40.0, "{beside}");
}

/// Checks a file with the program. Returns the time and the peak memory in MiB.
fn check(directory: &Path) -> (Duration, u64) {
    let begun = Instant::now();
    let mut child =
        smsentry().args(["-q", "-T", "-S", "made.toml"]).current_dir(directory).stdout(Stdio::null()).spawn().unwrap();
    let peak = watch(&mut child);
    assert!(child.wait().unwrap().success());
    (begun.elapsed(), peak >> 10)
}

/// Ten thousand signatures of every kind and one with a list of paths.
fn make(directory: &Path, paths: usize) {
    let list = listed().replace("1010000", "1100000").replace("made-0", "made-list");
    let (_, list) = list.split_once("[[signature]]").unwrap();
    let text = signatures(10_000, of_every_kind) + "\n[[signature]]" + list;
    std::fs::write(directory.join("made.toml"), text).unwrap();
    std::fs::write(directory.join("paths.txt"), path_file(paths)).unwrap();
}

/// With a tenth of the paths; the full size is for `make scale`, as it takes a minute without optimisation.
#[test]
fn hundred_thousand_paths_and_ten_thousand_signatures_fit_in_120_mib() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), MILLION / 10);
    let (time, peak) = check(directory.path());
    println!("loaded in {time:?} with {peak} MiB");
    assert!((20..120).contains(&peak), "{peak} MiB");
}

#[test]
#[ignore = "measures time, in release mode: make scale"]
fn million_paths_and_ten_thousand_signatures_take_three_seconds_and_300_mib() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path(), MILLION);
    let mut times: Vec<_> = (0..5).map(|_| check(directory.path())).collect();
    times.sort_unstable();
    println!("loaded in {:?} with {} MiB (median of five)", times[2].0, times[2].1);
    assert!(times[2].0 < Duration::from_secs(3), "{times:?}");
    assert!(times.iter().all(|(_, peak)| *peak < 300), "{times:?}");
}

#[test]
#[ignore = "measures time, in release mode: make scale"]
fn million_patterns_cost_at_most_four_times_a_hundred() {
    let few = load(&listed(), &path_file(100)).unwrap();
    let many = load(&listed(), &path_file(MILLION)).unwrap();
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

/// A file larger than any list of paths is refused before it is read, and one that does not report its size once it has
/// returned more than that.
#[test]
fn files_beyond_64_mib_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    // A hole takes no space on the disk.
    std::fs::File::create(at("paths.txt")).unwrap().set_len((64 << 20) + 1).unwrap();
    std::fs::write(at("made.toml"), listed()).unwrap();
    run(&["-T", "-S", &at("paths.txt")]).complains(2, &["paths.txt", "larger than 64 MiB"]);
    run(&["-T", "-S", &at("made.toml")]).complains(2, &["made.toml", "paths.txt", "larger than 64 MiB"]);
    run(&["-T", "-S", "/dev/zero"]).complains(2, &["/dev/zero", "larger than 64 MiB"]);
    // A byte less is read, and checked by its content.
    std::fs::File::options().write(true).open(at("paths.txt")).unwrap().set_len(64 << 20).unwrap();
    run(&["-T", "-S", &at("made.toml")]).complains(2, &["made.toml", "paths.txt:1", "control characters"]);
}
