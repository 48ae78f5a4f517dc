//! One way to declare counters: every room has a `Counters` struct, made by [`counters!`](crate::counters!),
//! whose fields know their published names. Not a registry: nothing here is shared or global.

/// Declares a struct of `u64` counters with their published names.
///
/// The struct gets `merge` (add another's figures) and `each` (visit `(name, value)` in declared order).
///
/// ```
/// smsentry::counters! {
///     /// What the door saw.
///     pub struct Counters {
///         /// People who came in.
///         entered: "door.entered",
///     }
/// }
/// let mut total = Counters::default();
/// total.merge(&Counters { entered: 2 });
/// total.each(&mut |name, value| assert_eq!((name, value), ("door.entered", 2)));
/// ```
#[macro_export]
macro_rules! counters {
    ($(#[$outer:meta])* $visibility:vis struct $name:ident {
        $($(#[$inner:meta])* $field:ident : $published:literal),* $(,)?
    }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        $visibility struct $name {
            $($(#[$inner])* pub $field: u64,)*
        }

        impl $name {
            /// Adds the figures of `other` to these.
            $visibility fn merge(&mut self, other: &Self) {
                $(self.$field = self.$field.saturating_add(other.$field);)*
            }

            /// Calls `visit` with the published name and the value of every counter, in declared order.
            $visibility fn each(&self, visit: &mut dyn FnMut(&'static str, u64)) {
                $(visit($published, self.$field);)*
            }
        }
    };
}
