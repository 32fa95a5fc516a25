//! Loads a cache line ahead of its use. An ordinary load would do so as well, but what comes after it cannot be completed
//! before it, and so only a few of them are under way at a time.

/// Begins to load the cache line in which `place` begins. Does nothing where the processor has no such instruction or the
/// language no name for it.
#[inline]
pub(super) fn prefetch<T>(place: &T) {
    prefetch_address(std::ptr::from_ref(place).addr());
}

/// The same for an address, of which there need not be anything.
#[inline]
#[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables, reason = "see above"))]
#[cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "see the bench `known_series_of_many_stories`: a third faster than with loads"
    )
)]
pub(super) fn prefetch_address(address: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction is a hint, which changes nothing that the program could see, whatever the address is.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::without_provenance(address));
    }
}
