//! Signs that a live sensor sees nothing it could find something in, each told once. Not the figures themselves.

use std::time::Duration;

use crate::stats::RunStats;
use crate::time::Timestamp;

/// Rationale: a few flows may be one-sided by chance.
const FLOWS: u64 = 20;

/// What was said about seeing nothing.
#[derive(Debug, Default)]
pub(crate) struct VisibilityMonitor {
    requests: u64,
    since: Option<Timestamp>,
    told_no_http: bool,
    told_one_sided: bool,
}

impl VisibilityMonitor {
    /// Looks at the figures as of `now`: what is to be said. `longest`: how long a link may be without HTTP.
    pub(crate) fn check(&mut self, now: Timestamp, longest: Duration, figures: &RunStats) -> Vec<String> {
        let mut warnings = Vec::new();
        let requests = figures.lanes.http.requests;
        // The run began where its clock did, which may be long before the first look.
        let since = *self.since.get_or_insert(figures.dispatcher.clock[0]);
        if requests != self.requests {
            (self.requests, self.since) = (requests, Some(now));
        } else if now.since(since) >= longest && !self.told_no_http {
            self.told_no_http = true;
            warnings.push(no_http(longest, figures));
        }
        if !self.told_one_sided && is_one_sided(figures) {
            self.told_one_sided = true;
            warnings.push(
                "warning: every flow shows one direction only, so no outcome can be known (does the SPAN port mirror \
                 both directions?)"
                    .to_owned(),
            );
        }
        warnings
    }
}

fn no_http(longest: Duration, figures: &RunStats) -> String {
    let seconds = longest.as_secs();
    let span =
        if seconds.is_multiple_of(60) { format!("{} minutes", seconds / 60) } else { format!("{seconds} seconds") };
    let ports: Vec<String> = figures.dispatcher.traffic.elsewhere.iter().map(u16::to_string).collect();
    let advice = match (figures.dispatcher.decode.packets, ports.is_empty()) {
        (0, _) => "no packet came at all: is this the right interface, and is the mirror on?".to_owned(),
        (_, true) => "is this the right interface? does HTTP use other ports? see --ports".to_owned(),
        (_, false) => format!("HTTP was seen on other ports: --ports 80,{}", ports.join(",")),
    };
    format!("warning: no HTTP request for {span} ({advice})")
}

/// Whether all that was seen has one direction only: flows with data that ended, or handshakes without a counterpart.
fn is_one_sided(figures: &RunStats) -> bool {
    let (sensor, flow) = (&figures.lanes.sensor, &figures.lanes.flow);
    if sensor.ended > sensor.one_sided || flow.sessions > 0 {
        return false;
    }
    let asked_only = flow.syn >= FLOWS && flow.syn_ack == 0 && figures.lanes.http.requests > 0;
    let answered_only = flow.syn_ack >= FLOWS && flow.syn == 0;
    sensor.ended >= FLOWS || asked_only || answered_only
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(300);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs_nanos(1000 + seconds, 0)
    }

    #[test]
    fn five_minutes_without_http_are_told_once() {
        let (mut silence, mut figures) = (VisibilityMonitor::default(), RunStats::default());
        figures.dispatcher.clock[0] = at(0);
        assert!(silence.check(at(299), LONG, &figures).is_empty());
        figures.lanes.http.requests = 1;
        assert!(silence.check(at(301), LONG, &figures).is_empty());
        assert!(silence.check(at(600), LONG, &figures).is_empty());
        figures.dispatcher.decode.packets = 9;
        figures.dispatcher.traffic.elsewhere = vec![8080, 8000];
        let told = silence.check(at(602), LONG, &figures);
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("5 minutes") && told[0].contains("--ports 80,8080,8000"), "{}", told[0]);
        assert!(silence.check(at(9999), LONG, &figures).is_empty());
    }

    #[test]
    fn one_sided_traffic_is_told_once_and_two_sided_never() {
        for (ended, one_sided, syn, syn_ack, expected) in [
            (20, 20, 0, 0, 1),
            (20, 19, 20, 0, 0),
            (19, 19, 0, 0, 0),
            (0, 0, 20, 0, 1),
            (0, 0, 0, 20, 1),
            (0, 0, 20, 1, 0),
        ] {
            let (mut silence, mut figures) = (VisibilityMonitor::default(), RunStats::default());
            figures.dispatcher.clock[0] = at(0);
            (figures.lanes.sensor.ended, figures.lanes.sensor.one_sided) = (ended, one_sided);
            (figures.lanes.flow.syn, figures.lanes.flow.syn_ack) = (syn, syn_ack);
            figures.lanes.http.requests = syn;
            let told = silence.check(at(1), LONG, &figures);
            assert_eq!(told.len(), expected, "{ended} {one_sided} {syn} {syn_ack}: {told:?}");
            assert!(silence.check(at(2), LONG, &figures).is_empty());
        }
    }
}
