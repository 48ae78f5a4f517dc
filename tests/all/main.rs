//! All integration tests in one binary.

mod signature_find;
mod signature_load;
mod uri_evasion_set;
mod uri_normal_form;
