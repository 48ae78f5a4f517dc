//! Campaigns and the alert threshold on a link without further packets.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::live_process::{Connection, Logs, Sensor, eventually, send};
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
        for lanes in [&["--lanes", "0"][..], &["--lanes", "2"]] {
            let logs = Logs::new();
            let mut arguments = vec!["-i", "probe0", "-l", logs.path(), "--limit"];
            arguments.extend(["--set", "campaign.window=2", "--set", "limit.seconds=1"]);
            arguments.extend(lanes);
            let sensor = Sensor::start(&arguments);
            std::thread::sleep(Duration::from_millis(700));
            let targets = ["/sms_config.json", "/sms/env", "/twilio/.secrets", "/sms/env", "/sms/env"];
            for (port, target) in (40_001..).zip(targets) {
                let mut connection = Connection::new(port);
                send(&mut sender, connection.open());
                send(&mut sender, [connection.ask(target), connection.answer("404 Not Found")]);
            }
            let asked = Instant::now();
            eventually(2, || sids(&logs).len() == 4, || format!("{:?} {}", sids(&logs), sensor.messages()));
            assert_eq!(sids(&logs)[3], 1_000_001);
            eventually(3, || sids(&logs).len() == 5, || format!("{:?} {}", sids(&logs), sensor.messages()));
            let passed = asked.elapsed();
            assert!(passed > Duration::from_millis(900) && passed < Duration::from_secs(2), "repeats: {passed:?}");
            assert_eq!(logs.records("alert")[4]["alert"]["metadata"]["smsentry_hits"][0], "2");
            eventually(3, || sids(&logs).len() == 6, || format!("{:?} {}", sids(&logs), sensor.messages()));
            let passed = asked.elapsed();
            assert!(passed > Duration::from_millis(1900) && passed < Duration::from_secs(3), "the end: {passed:?}");
            assert_eq!(sids(&logs)[5], 1_000_005);
            sensor.finish();
        }
    });
}
