//! Placeholder of the room `sensor`.
