//! Running a scenario for many seeds, and a failed seed again with a trace.

use std::any::Any;
use std::env;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use super::world::Sim;
use crate::sys::sim::{Faults, Mode, World};
use crate::testing::sealing;

/// The default number of seeds.
const SEEDS: u64 = 200;
/// The default number within `through`: the scenario also runs without it, or through several.
const SEALED_SEEDS: u64 = 50;
/// The variable that sets which seeds are run.
const RANGE: &str = "SLUICEGATE_SEEDS";
/// The variable that selects a single seed.
const ONE: &str = "SLUICEGATE_SEED";

/// Runs a scenario once for each of many seeds.
///
/// A run is determined by its seed, so a failed seed is run again with a trace of each system call
/// and each action of a client, with its virtual time. The panic message contains the last lines of
/// the trace and the command that repeats the run.
///
/// ```
/// use sluicegate_reactor::testing::Simulation;
/// use sluicegate_reactor::{Context, Handler, Input, Listen};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Session = ();
///     fn on_open(&mut self, _: &mut Context<'_>) {}
///     fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
///         cx.send(input.take());
///     }
/// }
///
/// Simulation::new().run(|sim| {
///     sim.reactor(|reactor| {
///         let echo = reactor.register(Echo);
///         reactor.listen("10.0.0.1:7", &Listen::default(), echo).unwrap();
///     });
///     sim.client("10.0.0.1:7").sends("hello").finishes().expects("hello");
///     sim.client("10.0.0.1:7").sends([7; 5000]).resets();
/// });
/// ```
///
/// | environment variable | effect |
/// |---|---|
/// | `SLUICEGATE_SEEDS=100000` | runs the seeds 0 to 99,999 instead of 0 to 199, or 0 to 49 within [`through`](crate::testing::through) |
/// | `SLUICEGATE_SEEDS=50000..100000` | runs the seeds 50,000 to 99,999, to divide a long run |
/// | `SLUICEGATE_SEED=17` | runs seed 17 only, and writes its trace to standard error |
#[derive(Clone, Debug)]
pub struct Simulation {
    faults: Faults,
}

impl Default for Simulation {
    fn default() -> Simulation {
        Simulation::new()
    }
}

impl Simulation {
    /// A simulation with a moderate mix of all faults.
    #[must_use]
    pub fn new() -> Simulation {
        Simulation { faults: Faults::default() }
    }

    /// Sets which faults happen, and how often.
    #[must_use]
    pub fn faults(self, faults: Faults) -> Simulation {
        Simulation { faults }
    }

    /// Runs a scenario for each seed. The scenario must be deterministic for a given seed: see
    /// [what breaks a replay](crate::testing#what-breaks-a-replay).
    ///
    /// # Panics
    /// If a run fails; the message has the last events and the command that repeats the run. Also
    /// if one of the environment variables is invalid.
    pub fn run(&self, scenario: impl Fn(&mut Sim)) {
        if let Some(seed) = variable(ONE, |text| text.parse().ok()) {
            return self.run_seed(seed, Mode::Live, &scenario).1.unwrap_or_else(|failure| {
                panic!("seed {seed} fails: {}", message(&*failure));
            });
        }
        let seeds = if sealing::current().is_some() { SEALED_SEEDS } else { SEEDS };
        for seed in variable(RANGE, parse_range).unwrap_or(0..seeds) {
            if self.run_seed(seed, Mode::Off, &scenario).1.is_err() {
                self.report(seed, &scenario);
            }
        }
    }

    /// The trace of one run, as far as it is kept, and its result.
    fn run_seed(
        &self,
        seed: u64,
        mode: Mode,
        scenario: &impl Fn(&mut Sim),
    ) -> (String, thread::Result<()>) {
        let world = World::new(seed);
        world.set_trace(mode);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut sim = Sim::new(seed, &self.faults, world.clone());
            scenario(&mut sim);
            sim.end();
        }));
        (world.last_lines(), result)
    }

    /// Fails with everything known about a seed.
    fn report(&self, seed: u64, scenario: &impl Fn(&mut Sim)) -> ! {
        let (trace, result) = self.run_seed(seed, Mode::Kept, scenario);
        let failure = match &result {
            Err(failure) => message(&**failure),
            Ok(()) => "but not when it was repeated: something does not depend on the seed alone",
        };
        let test = thread::current().name().filter(|name| *name != "main").map(str::to_owned);
        let test = test.map_or_else(String::new, |name| format!(" {name} -- --exact"));
        panic!(
            "\n{trace}\nseed {seed} fails: {failure}\nto repeat this run, with the same options: \
             {ONE}={seed} cargo test{test}\n"
        );
    }
}

fn variable<T>(name: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(parse(&text).unwrap_or_else(|| panic!("{name}={text} is invalid")))
}

/// Parses a number of seeds, or the first one and the end, which is not run.
fn parse_range(text: &str) -> Option<Range<u64>> {
    let (start, end) = text.split_once("..").unwrap_or(("0", text));
    let range = start.parse().ok()?..end.parse().ok()?;
    (!range.is_empty()).then_some(range)
}

/// The message of a panic.
fn message(failure: &(dyn Any + Send)) -> &str {
    let text = failure.downcast_ref::<&str>().copied();
    text.or_else(|| failure.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, Handler, Input, Listen};

    /// An empty scenario that returns its faults.
    fn dealt(seed: u64) -> usize {
        let dealt = std::cell::Cell::new(0);
        let (_, result) = Simulation::new().run_seed(seed, Mode::Off, &|sim: &mut Sim| {
            dealt.set(sim.below(1 << 30));
        });
        result.expect("nothing goes wrong");
        dealt.get()
    }

    #[test]
    fn a_seed_deals_the_same_again_and_another_one_does_not() {
        assert_eq!(dealt(5), dealt(5));
        assert_ne!(dealt(5), dealt(6));
    }

    #[test]
    fn a_seed_that_fails_is_reported_with_its_trace_and_how_to_repeat_it() {
        let failure = catch_unwind(|| {
            Simulation::new().run(|sim| {
                sim.client("10.0.0.1:7").sends("hello");
                sim.run();
                assert!(sim.below(10) > 0, "the dice are against it");
            });
        });
        let failure = failure.expect_err("one seed of ten");
        let text = message(&*failure);
        assert!(text.contains("connects to 10.0.0.1:7, where nothing listens"), "{text}");
        assert!(text.contains(" fails: the dice are against it\n"), "{text}");
        let name = "a_seed_that_fails_is_reported_with_its_trace_and_how_to_repeat_it";
        let command = format!(" cargo test {}::{name} -- --exact\n", module_path!());
        let command = command.replace("sluicegate_reactor::", "");
        assert!(text.contains("SLUICEGATE_SEED=") && text.ends_with(&command), "{text}");
    }

    #[test]
    fn seeds_are_a_number_or_a_range() {
        let cases =
            [("3", Some(0..3)), ("5..9", Some(5..9)), ("0", None), ("9..5", None), ("x", None)];
        for (text, range) in cases {
            assert_eq!(parse_range(text), range, "{text}");
        }
    }

    struct Echo;

    impl Handler for Echo {
        type Session = ();
        fn on_open(&mut self, _: &mut Context<'_>) {}
        fn on_data(&mut self, cx: &mut Context<'_>, _: &mut (), input: &mut Input<'_>) {
            cx.send(input.take());
        }
    }

    #[test]
    fn a_seed_leads_to_the_same_trace_again() {
        let scenario = |sim: &mut Sim| {
            sim.reactor(|reactor| {
                let echo = reactor.register(Echo);
                reactor.listen("10.0.0.1:7", &Listen::default(), echo).expect("it is free");
            });
            for _ in 0..5 {
                sim.client("10.0.0.1:7").sends([7; 5000]).finishes().expects([7; 5000]);
            }
        };
        for seed in 0..20 {
            let (first, result) = Simulation::new().run_seed(seed, Mode::Kept, &scenario);
            result.expect("nothing is lost");
            let (second, _) = Simulation::new().run_seed(seed, Mode::Kept, &scenario);
            assert!(first.lines().count() > 20, "{first}");
            assert_eq!(first, second);
        }
    }

    #[test]
    fn the_first_seed_has_no_faults_and_others_have() {
        let faults = |seed| {
            let dealt = std::cell::RefCell::new(Faults::none());
            let scenario = |sim: &mut Sim| *dealt.borrow_mut() = sim.faults().clone();
            let (_, result) = Simulation::new().run_seed(seed, Mode::Off, &scenario);
            result.expect("nothing goes wrong");
            dealt.into_inner()
        };
        assert_eq!(faults(0), Faults::none());
        assert_ne!(faults(1), Faults::none());
        assert_ne!(faults(1), faults(2));
    }
}
