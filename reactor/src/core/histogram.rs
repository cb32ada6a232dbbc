//! Histograms of durations.

use std::time::Duration;

/// The number of buckets with an upper bound: from 1 µs to 2^24 µs, about 17 s.
const BOUNDED: usize = 25;

/// A histogram of durations. The upper bounds of its buckets are powers of two in microseconds,
/// from 1 µs to about 17 s; one more bucket is for longer times. Recording takes a few instructions
/// and no memory.
///
/// ```
/// use std::time::Duration;
///
/// use sluicegate_reactor::Histogram;
///
/// let mut times = Histogram::default();
/// for micros in [1, 3, 3, 900] {
///     times.record(Duration::from_micros(micros));
/// }
/// assert_eq!(times.count(), 4);
/// assert_eq!(times.max(), Duration::from_micros(900));
/// // Quantiles are upper bounds, exact to a factor of two.
/// assert_eq!(times.quantile(0.5), Duration::from_micros(4));
/// assert_eq!(times.quantile(0.99), Duration::from_micros(900));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BOUNDED + 1],
    /// In nanoseconds.
    sum: u64,
    /// In nanoseconds.
    max: u64,
}

impl Histogram {
    /// Records a duration.
    pub fn record(&mut self, time: Duration) {
        self.record_many(time, 1);
    }

    /// Records the same duration `count` times.
    pub fn record_many(&mut self, time: Duration, count: u64) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let micros = nanos.div_ceil(1000).max(1);
        // The exponent of the least power of two that is not below it.
        let bucket = (u64::BITS - (micros - 1).leading_zeros()) as usize;
        self.counts[bucket.min(BOUNDED)] += count;
        self.sum = self.sum.saturating_add(nanos.saturating_mul(count));
        self.max = self.max.max(nanos);
    }

    /// The buckets in the order of their upper bounds, each with the number of durations in that
    /// bucket alone (not cumulative). The last bucket has no upper bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bound = |bucket| (bucket < BOUNDED).then(|| Duration::from_micros(1_u64 << bucket));
        self.counts.iter().enumerate().map(move |(bucket, count)| (bound(bucket), *count))
    }

    /// The number of durations recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The sum of all durations.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// The longest duration.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// An upper bound of the quantile `share`, such as 0.5 for the median. It is the upper bound of
    /// a bucket, but at most the longest duration. Zero if nothing was recorded.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let mut below = 0;
        let bucket = self.buckets().find(|(_, count)| {
            below += count;
            below >= wanted
        });
        bucket.and_then(|(bound, _)| bound).map_or(self.max(), |bound| bound.min(self.max()))
    }

    /// Adds the durations of another histogram.
    pub fn merge(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The upper bound of the bucket that a time falls into, in microseconds.
    fn bound_of(nanos: u64) -> Option<u128> {
        let mut times = Histogram::default();
        times.record(Duration::from_nanos(nanos));
        let (bound, _) = times.buckets().find(|(_, count)| *count == 1).expect("a bucket");
        bound.map(|bound| bound.as_micros())
    }

    #[test]
    fn a_time_falls_into_the_first_bucket_whose_bound_it_does_not_exceed() {
        let cases = [
            (0, Some(1)),
            (1, Some(1)),
            (1000, Some(1)),
            (1001, Some(2)),
            (2000, Some(2)),
            (2001, Some(4)),
            (1_000_000, Some(1024)),
            (1000 << 24, Some(1 << 24)),
            ((1000 << 24) + 1, None),
            (u64::MAX, None),
        ];
        for (nanos, bound) in cases {
            assert_eq!(bound_of(nanos), bound, "{nanos} ns");
        }
    }

    #[test]
    fn merged_histograms_count_the_times_of_both() {
        let (mut one, mut other, mut both) =
            (Histogram::default(), Histogram::default(), Histogram::default());
        for micros in 0..200 {
            let time = Duration::from_micros(micros * micros);
            let part = if micros % 3 == 0 { &mut one } else { &mut other };
            part.record(time);
            both.record(time);
        }
        one.merge(&other);
        assert_eq!(one, both);
    }
}
