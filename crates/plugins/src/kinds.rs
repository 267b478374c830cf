//! Further kinds of objects that plugins read, each with only what is read of it.

pub mod owners;
