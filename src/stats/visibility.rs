//! Warns when a live sensor receives no traffic that it could inspect: no HTTP requests, or one direction only. Emits
//! each warning once. Does not count; see [`crate::stats`].

use std::time::Duration;

use crate::sensor::PayloadCounters;
use crate::stats::RunStats;
use crate::time::Timestamp;

/// Flows needed for the one-sided warning. Rationale: a few flows may be one-sided by chance.
const FLOWS: u64 = 20;

/// Monitors the visibility of traffic and stores which warnings were emitted.
#[derive(Debug, Default)]
pub(crate) struct VisibilityMonitor {
    requests: u64,
    since: Option<Timestamp>,
    reported_no_http: bool,
    reported_one_sided: bool,
}

impl VisibilityMonitor {
    /// Checks the stats as of `now` and returns the warnings to emit. `longest` is the time that a link may be without
    /// an HTTP request.
    pub(crate) fn check(&mut self, now: Timestamp, longest: Duration, stats: &RunStats) -> Vec<String> {
        let mut warnings = Vec::new();
        let requests = stats.lanes.http.requests;
        // Measured from the start of the run, which may be long before the first check.
        let since = *self.since.get_or_insert(stats.dispatcher.clock[0]);
        if requests != self.requests {
            (self.requests, self.since) = (requests, Some(now));
        } else if now.since(since) >= longest && !self.reported_no_http {
            self.reported_no_http = true;
            warnings.push(no_http(longest, stats));
        }
        if !self.reported_one_sided && is_one_sided(stats) {
            self.reported_one_sided = true;
            warnings.push(
                "warning: every flow shows one direction only, so no outcome can be known (does the SPAN port mirror \
                 both directions?)"
                    .to_owned(),
            );
        }
        warnings
    }
}

fn no_http(longest: Duration, stats: &RunStats) -> String {
    let seconds = longest.as_secs();
    let span =
        if seconds.is_multiple_of(60) { format!("{} minutes", seconds / 60) } else { format!("{seconds} seconds") };
    let ports: Vec<String> = stats.dispatcher.traffic.elsewhere.iter().map(u16::to_string).collect();
    let payload = stats.payload();
    let advice = match (stats.dispatcher.decode.packets, ports.is_empty()) {
        (0, _) => "no packet was received: is this the right interface, and is the mirror on?".to_owned(),
        (_, false) => format!("HTTP was seen on other ports: --ports 80,{}", ports.join(",")),
        _ if stats.dispatcher.traffic.payload != PayloadCounters::default() => {
            "is this the right interface? does HTTP use other ports? see --ports".to_owned()
        }
        _ if payload.tls_bytes > payload.other_bytes => {
            "is this the right interface? what it shows is mostly TLS, which is not read".to_owned()
        }
        _ => "is this the right interface?".to_owned(),
    };
    format!("warning: no HTTP request for {span} ({advice})")
}

/// Reports whether all traffic seen is one-sided: ended flows with data, or handshakes without the other direction.
fn is_one_sided(stats: &RunStats) -> bool {
    let (sensor, flow) = (&stats.lanes.sensor, &stats.lanes.flow);
    if sensor.ended > sensor.one_sided || flow.sessions > 0 {
        return false;
    }
    let client_only = flow.syn >= FLOWS && flow.syn_ack == 0 && stats.lanes.http.requests > 0;
    let server_only = flow.syn_ack >= FLOWS && flow.syn == 0;
    sensor.ended >= FLOWS || client_only || server_only
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(300);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs_nanos(1000 + seconds, 0)
    }

    #[test]
    fn missing_http_is_reported_once_after_the_limit() {
        let (mut monitor, mut stats) = (VisibilityMonitor::default(), RunStats::default());
        stats.dispatcher.clock[0] = at(0);
        assert!(monitor.check(at(299), LIMIT, &stats).is_empty());
        stats.lanes.http.requests = 1;
        assert!(monitor.check(at(301), LIMIT, &stats).is_empty());
        assert!(monitor.check(at(600), LIMIT, &stats).is_empty());
        stats.dispatcher.decode.packets = 9;
        stats.dispatcher.traffic.elsewhere = vec![8080, 8000];
        let warnings = monitor.check(at(602), LIMIT, &stats);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("5 minutes") && warnings[0].contains("--ports 80,8080,8000"), "{}", warnings[0]);
        assert!(monitor.check(at(9999), LIMIT, &stats).is_empty());
    }

    #[test]
    fn only_one_sided_traffic_is_reported_and_only_once() {
        for (ended, one_sided, syn, syn_ack, expected) in [
            (20, 20, 0, 0, 1),
            (20, 19, 20, 0, 0),
            (19, 19, 0, 0, 0),
            (0, 0, 20, 0, 1),
            (0, 0, 0, 20, 1),
            (0, 0, 20, 1, 0),
        ] {
            let (mut monitor, mut stats) = (VisibilityMonitor::default(), RunStats::default());
            stats.dispatcher.clock[0] = at(0);
            (stats.lanes.sensor.ended, stats.lanes.sensor.one_sided) = (ended, one_sided);
            (stats.lanes.flow.syn, stats.lanes.flow.syn_ack) = (syn, syn_ack);
            stats.lanes.http.requests = syn;
            let warnings = monitor.check(at(1), LIMIT, &stats);
            assert_eq!(warnings.len(), expected, "{ended} {one_sided} {syn} {syn_ack}: {warnings:?}");
            assert!(monitor.check(at(2), LIMIT, &stats).is_empty());
        }
    }
}
