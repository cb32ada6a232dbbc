//! Buffers that come and go: kept for who needs one next, or allocated; and what it costs to move
//! what is in one to another.

use std::hint::black_box;

use criterion::Criterion;

use crate::exact::keep_what_is_freed;
use crate::{cpu, group, size};

/// As many have one at the same time.
const COUNT: usize = 32;

/// Takes buffers, puts something into them, and gives them back.
pub(crate) fn buffers(criterion: &mut Criterion) {
    keep_what_is_freed();
    for len in [4 << 10, 16 << 10, 64 << 10] {
        let few = |mut buffer: Vec<u8>| {
            buffer[..64].fill(1);
            black_box(buffer)
        };
        let bytes = vec![1; len];
        let filled = |mut buffer: Vec<u8>| {
            buffer.copy_from_slice(black_box(&bytes));
            black_box(buffer)
        };
        let mut group = group(criterion, &format!("{COUNT} buffers of {}", size(len)));
        let mut time = |name, round: &mut dyn FnMut()| {
            group.bench_function(name, |b| {
                b.iter_custom(|times| {
                    let start = cpu::time();
                    (0..times).for_each(|_| round());
                    cpu::time() - start
                });
            });
        };
        let mut free = vec![vec![0; len]; COUNT];
        time("kept", &mut || free = free.drain(..).map(few).collect());
        time("kept, and filled", &mut || free = free.drain(..).map(filled).collect());
        time("new", &mut || drop((0..COUNT).map(|_| few(vec![0; len])).collect::<Vec<_>>()));
    }
}
