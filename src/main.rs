//! The command line of unpage.

fn main() {}
