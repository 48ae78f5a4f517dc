//! The packet pipeline: the dispatcher decodes blocks and assigns segments to lanes, and the lanes run the sensor's shards
//! and send records to the output stage. Ordering and writing of records belong to [`crate::output`].

pub(crate) mod batch;
pub mod block_sensor;
pub(crate) mod channel;
pub mod clock;
pub(crate) mod dispatcher;
pub(crate) mod lane;
pub(crate) mod lanes;
pub(crate) mod message;

pub use lanes::spare_cores;
