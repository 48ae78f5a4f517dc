//! Placeholder of the room `format`.
