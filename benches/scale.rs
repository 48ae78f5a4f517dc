//! The cost of a benign target, from its bytes to "no signature", with few patterns and with very many; and the cost of
//! loading them. The same sets and targets as in `tests/it/signature/scale.rs`, which checks the ratios.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails by a panic has done its work")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use smsentry::signature::Signatures;
use smsentry::uri::Normaliser;
use smsentry_generators::word_list::{listed, load, of_every_kind, path_file, raw, signatures, target, words};

/// Many different targets, more than a cache holds.
const TARGETS: usize = 100_000;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    find(&mut criterion);
    loading(&mut criterion);
    criterion.final_summary();
}

/// Normal form and search; `time` is per target.
fn find(criterion: &mut Criterion) {
    let targets: Vec<String> = (0..TARGETS).map(target).collect();
    let mut group = criterion.benchmark_group("find");
    group.throughput(Throughput::Elements(1));
    let mut measure = |name: &str, count: usize, set: &Signatures| {
        let (mut normaliser, mut next) = (Normaliser::new(), 0);
        group.bench_function(BenchmarkId::new(name, count), |bencher| {
            bencher.iter_custom(|wanted| {
                let begun = Instant::now();
                for _ in 0..wanted {
                    let target = targets[next].as_bytes();
                    next = (next + 1) % TARGETS;
                    let candidates = normaliser.candidates(b"GET", target);
                    assert!(black_box(set.find(b"GET", target, &candidates)).is_none());
                }
                begun.elapsed()
            });
        });
    };
    for count in [100, 10_000, 1_000_000] {
        measure("paths", count, &load(&listed(), &path_file(count)).unwrap());
    }
    for count in [100, 10_000] {
        measure("raw", count, &load(&signatures(count, raw), "").unwrap());
        measure("words", count, &load(&signatures(count, words), "").unwrap());
        measure("signatures of every kind", count, &load(&signatures(count, of_every_kind), "").unwrap());
    }
    group.finish();
}

/// From text to a loaded set.
fn loading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    let (text, paths) = (listed(), path_file(1_000_000));
    group.bench_function("1,000,000 paths", |bencher| bencher.iter(|| load(&text, &paths).unwrap().len()));
    let text = signatures(10_000, of_every_kind);
    group.bench_function("10,000 signatures", |bencher| bencher.iter(|| load(&text, "").unwrap().len()));
    group.finish();
}
