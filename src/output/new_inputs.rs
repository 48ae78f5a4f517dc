//! Names of inputs that are begun during a run: handed from the packet source to the event writer.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::format::InputName;

/// Names by the numbers of inputs, of which there are a limited number: a later name replaces an earlier one.
#[derive(Debug, Default)]
pub(crate) struct NewInputs {
    is_changed: AtomicBool,
    names: Mutex<HashMap<u32, PathBuf>>,
}

impl NewInputs {
    /// Adds the name of an input, before its first packet is delivered.
    pub(crate) fn add(&self, number: u32, name: PathBuf) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(number, name);
        self.is_changed.store(true, Ordering::Release);
    }

    /// Moves the new names to `inputs`.
    pub(crate) fn take_into(&self, inputs: &mut Vec<InputName>) {
        if !self.is_changed.swap(false, Ordering::Acquire) {
            return;
        }
        for (number, name) in self.names.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            let at = number as usize;
            while inputs.len() <= at {
                inputs.push(InputName::File(PathBuf::new()));
            }
            inputs[at] = InputName::File(name);
        }
    }
}
