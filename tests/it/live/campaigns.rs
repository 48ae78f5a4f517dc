//! Campaigns and repeats on a link where nothing comes any more.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::virtual_link::{Sender, in_namespace, lay_cable};
use crate::support::live_process::{Logs, Sensor, Talk, eventually, send};

fn sids(logs: &Logs) -> Vec<u64> {
    let sid = |alert: &Value| alert["alert"]["signature_id"].as_u64().unwrap();
    logs.records("alert").iter().map(sid).collect()
}

#[test]
fn what_falls_due_in_silence_is_told_in_time() {
    in_namespace(|| {
        lay_cable();
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
                let mut talk = Talk::new(port);
                send(&mut sender, talk.open());
                send(&mut sender, [talk.ask(target), talk.answer("404 Not Found")]);
            }
            let asked = Instant::now();
            eventually(2, || sids(&logs).len() == 4, || format!("{:?} {}", sids(&logs), sensor.said()));
            assert_eq!(sids(&logs)[3], 1_000_001);
            eventually(3, || sids(&logs).len() == 5, || format!("{:?} {}", sids(&logs), sensor.said()));
            let passed = asked.elapsed();
            assert!(passed > Duration::from_millis(900) && passed < Duration::from_secs(2), "repeats: {passed:?}");
            assert_eq!(logs.records("alert")[4]["alert"]["metadata"]["smsentry_hits"][0], "2");
            eventually(3, || sids(&logs).len() == 6, || format!("{:?} {}", sids(&logs), sensor.said()));
            let passed = asked.elapsed();
            assert!(passed > Duration::from_millis(1900) && passed < Duration::from_secs(3), "the end: {passed:?}");
            assert_eq!(sids(&logs)[5], 1_000_005);
            sensor.finish();
        }
    });
}
