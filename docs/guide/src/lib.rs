//! The programs of the [guide](../../guide.md) are in `src/bin`. This compiles its other code.

#[cfg(doctest)]
#[doc = include_str!("../../guide.md")]
struct Guide;
