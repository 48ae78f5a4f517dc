//! Campaigns and the alert threshold on a link without further packets.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::live_process::{Connection, Logs, Sensor, below, eventually, prompt, send};
use crate::support::virtual_link::{Sender, create_link, in_namespace};

fn sids(logs: &Logs) -> Vec<u64> {
    let sid = |alert: &Value| alert["alert"]["signature_id"].as_u64().unwrap();
    logs.records("alert").iter().map(sid).collect()
}

#[test]
fn deadlines_are_met_on_an_idle_link() {
    in_namespace(|| {
        create_link();
        let mut sender = Sender::on("probe1");
        let mut run = |lanes: &[&str]| {
            let logs = Logs::new();
            let mut arguments = vec!["-i", "probe0", "-l", logs.path(), "--limit"];
            arguments.extend(["--set", "campaign.window=2", "--set", "limit.seconds=1"]);
            arguments.extend(lanes);
            let sensor = Sensor::start(&arguments);
            std::thread::sleep(Duration::from_millis(700));
            let begun = Instant::now();
            let targets = ["/sms_config.json", "/sms/env", "/twilio/.secrets", "/sms/env", "/sms/env"];
            for (port, target) in (40_001..).zip(targets) {
                let mut connection = Connection::new(port);
                send(&mut sender, connection.open());
                send(&mut sender, [connection.ask(target), connection.answer("404 Not Found")]);
            }
            let asked = Instant::now();
            below(begun.elapsed(), Duration::from_millis(500), "the sender")?;
            eventually(2, || sids(&logs).len() >= 4, || format!("{:?} {}", sids(&logs), sensor.messages()));
            assert_eq!(sids(&logs)[3], 1_000_001);
            eventually(3, || sids(&logs).len() >= 5, || format!("{:?} {}", sids(&logs), sensor.messages()));
            let repeats = asked.elapsed();
            assert_eq!(logs.records("alert")[4]["alert"]["metadata"]["smsentry_hits"][0], "2");
            eventually(3, || sids(&logs).len() == 6, || format!("{:?} {}", sids(&logs), sensor.messages()));
            let end = asked.elapsed();
            assert_eq!(sids(&logs)[5], 1_000_005);
            sensor.finish();
            // The packets are older than `asked`, by less than half a second.
            assert!(repeats > Duration::from_millis(500) && end > Duration::from_millis(1500), "{repeats:?}, {end:?}");
            below(Duration::from_millis(900), repeats, "earliest repeats")?;
            below(repeats, Duration::from_secs(2), "repeats")?;
            below(Duration::from_millis(1900), end, "earliest end")?;
            below(end, Duration::from_secs(3), "the end")
        };
        prompt(|| run(&["--lanes", "0"]));
        prompt(|| run(&["--lanes", "2"]));
    });
}
