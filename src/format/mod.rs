//! The nouns of docs/FORMAT.md.

pub mod order;
