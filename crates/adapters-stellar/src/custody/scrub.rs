//! Wipes what a computation with a key leaves behind on the stack.
//!
//! Types that wipe themselves wipe the place where they are dropped. Whatever was copied on the way
//! there (an argument, a return value, a hasher's block) stays in stack memory that is free but not
//! overwritten. So the computation runs in a frame of its own, and the stack below is then zeroed.

use std::hint::black_box;

use zeroize::Zeroize;

/// In words of eight bytes: 128 KiB, several times what opening a seed and signing take, unoptimised
/// builds included.
const WORDS: usize = 16 * 1024;

/// Runs `act`, then zeroes the stack that it used. The result must hold no key.
pub fn leaving_nothing<T>(act: impl FnOnce() -> T) -> T {
    let result = apart(act);
    wipe();
    result
}

/// Not inlined, so that `act` works on the stack below its caller's frame.
#[inline(never)]
fn apart<T>(act: impl FnOnce() -> T) -> T {
    act()
}

#[inline(never)]
#[expect(
    clippy::large_stack_arrays,
    reason = "covering the stack is what it is for"
)]
fn wipe() {
    let mut stack = [0_u64; WORDS];
    stack.zeroize();
    black_box(&mut stack);
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    /// What marks a key in these tests, and is itself nowhere in memory unless [`use_key`] puts it
    /// there: it is compared under this mask.
    const MASK: u8 = 0x5a;
    const MASKED: [u8; 16] = *b"scrub test mark.";

    /// Puts a key on the stack, as deep as `depth` times a page, and forgets it.
    #[inline(never)]
    fn use_key(depth: usize) -> u8 {
        let page = [0_u8; 4096];
        black_box(&page);
        if depth > 0 {
            return use_key(depth - 1).wrapping_add(page[0]);
        }
        let mut key = [0_u8; 64];
        for (byte, masked) in key.iter_mut().zip(MASKED.iter().cycle()) {
            *byte = masked ^ black_box(MASK);
        }
        black_box(&key)[0] & 1
    }

    /// How often the key is on this thread's stack, a megabyte down from here.
    #[inline(never)]
    fn left_behind() -> usize {
        let here = 0_u8;
        let top = std::ptr::from_ref(&here).addr();
        let mut below = vec![0_u8; 1024 * 1024];
        let mem = File::open("/proc/self/mem").unwrap();
        let from = u64::try_from(top - below.len()).unwrap();
        mem.read_exact_at(&mut below, from).unwrap();
        let is_key = |window: &&[u8]| {
            let masked = window.iter().map(|byte| byte ^ MASK);
            masked.eq(MASKED)
        };
        let found = below.windows(MASKED.len()).filter(is_key).count();
        below.zeroize();
        found
    }

    #[test]
    fn what_was_on_the_stack_is_gone() {
        let on_a_stack_of_its_own = |work: fn() -> (usize, usize)| {
            let thread = std::thread::Builder::new().stack_size(4 * 1024 * 1024);
            thread.spawn(work).unwrap().join().unwrap()
        };
        let (without, with) = on_a_stack_of_its_own(|| {
            apart(|| use_key(8));
            let without = left_behind();
            leaving_nothing(|| use_key(8));
            (without, left_behind())
        });
        assert!(without > 0, "the test finds what is left behind");
        assert_eq!(with, 0);
    }
}
