//! Placeholder of the room `flow`.
