//! Live capture and operation in network namespaces; skipped with a message without root.

mod campaigns;
mod capture;
mod end_to_end;
mod open;
mod operation;
mod reconnect;
mod signals;
