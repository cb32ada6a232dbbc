//! The figures of a workload, and how they are printed.

use std::fmt;

use crate::servers::Program;
use crate::workloads::Workload;

/// Costs of a unit in nanoseconds, by server and round.
pub(crate) struct Table<'a> {
    pub(crate) workload: &'a Workload,
    /// One row a server, the one that the others are compared with first. One cost a round.
    pub(crate) rows: Vec<(Program, Vec<f64>)>,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Workload { name, about, unit, .. } = self.workload;
        writeln!(f, "{name}: {about}")?;
        let cost = format!("ns per {}", unit.name());
        writeln!(f, "  {:<12}{cost:>16}   sluicegate/this   quartiles", "server")?;
        let mut rows: Vec<_> = self.rows.iter().map(|row| (median(&row.1), row)).collect();
        rows.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let (ours, our_costs) = &self.rows[0];
        for (cost, (program, costs)) in rows {
            let digits = if cost < 100.0 { 3 } else { 0 };
            write!(f, "  {:<12}{cost:>16.digits$}", program.name())?;
            if program != ours {
                let ratios: Vec<_> = our_costs.iter().zip(costs).map(|(a, b)| a / b).collect();
                let [low, middle, high] = quartiles(&ratios);
                write!(f, "   {middle:>15.3}   {low:.3} .. {high:.3}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn median(values: &[f64]) -> f64 {
    quartiles(values)[1]
}

/// The lower quartile, the median and the upper quartile, interpolated.
fn quartiles(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [0.25, 0.5, 0.75].map(|part| {
        let at = (sorted.len() - 1) as f64 * part;
        let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
        below + (above - below) * at.fract()
    })
}
