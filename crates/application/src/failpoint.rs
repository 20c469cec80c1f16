//! Named places in the protocol at which a crash test ends the process. Built only with the feature
//! `failpoints`; otherwise a place is nothing.

/// A place of this name.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!($name);
    };
}

pub(crate) use failpoint;
