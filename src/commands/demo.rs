//! `plimsoll demo`.

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// x
pub fn main(_: &Args) -> i32 {
    0
}
