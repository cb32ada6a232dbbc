//! Which counters of the ledger a metric adds up.

use super::*;

#[test]
fn a_read_of_a_file_counts_once_on_any_file_system() {
    let mut ledger = Ledger::default();
    (ledger.cold_reads, ledger.cold_unreported) = (3, 2);
    let is_cold = |counters: &&Counters| counters.name == "sluicegate_cold_reads";
    let [(_, count)] = LISTENER_COUNTERS.iter().find(is_cold).expect("a metric").values else {
        panic!("one counter")
    };
    assert_eq!(count(&ledger), 3);
}
