//! What `stats` reports.

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        /// Counters of one reactor, or the sums of several.
        #[derive(Clone, Copy, Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: u64,)* }

        impl Counters {
            /// Adds those of another reactor.
            pub(crate) fn add(&mut self, other: &Counters) {
                $(self.$name += other.$name;)*
            }

            /// Their names and values.
            pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name)),*].into_iter()
            }
        }
    };
}

counters! {
    curr_connections, total_connections, cmd_get, cmd_set, cmd_flush, cmd_touch, cmd_meta,
    get_hits, get_misses, delete_hits, delete_misses, incr_hits, incr_misses, decr_hits,
    decr_misses, cas_hits, cas_misses, cas_badval, touch_hits, touch_misses, store_too_large,
    store_no_memory, bytes_read, bytes_written, limit_maxbytes, bytes, curr_items, total_items,
    evictions, evicted_unfetched, expired_unfetched,
}
