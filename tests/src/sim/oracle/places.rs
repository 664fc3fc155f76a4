//! Places: within what may be used, whole nodes, and as few as possible on each processor.

use orchestrator_core::AttemptId;
use orchestrator_core::placement::{CpuSet, Placement};

use super::{Check, Oracle, ensure};

impl Oracle {
    /// Judges the processors of an attempt that was admitted just now.
    pub(super) fn check_place(&mut self, attempt: AttemptId, cpus: Option<&CpuSet>) -> Check {
        let (rule, all) = (self.policy.placement, self.topology.all());
        if let Some(cpus) = cpus {
            let within = !cpus.is_empty() && cpus.iter().all(|cpu| all.contains(cpu));
            ensure!(within, "attempt {attempt} was given CPUs {cpus}, which are not all among {all}");
        }
        let several = self.topology.nodes().len() > 1;
        match (rule, cpus) {
            (Placement::Auto | Placement::Node, Some(cpus)) if several => {
                let whole = self.topology.nodes().iter().any(|node| self.topology.of_node(node.id) == *cpus);
                ensure!(whole, "attempt {attempt} was given CPUs {cpus}, which are no node");
                self.tally.count("launch: on a node");
                Ok(())
            }
            (Placement::Core(count), Some(cpus)) if (count as usize) < all.len() => {
                ensure!(cpus.len() == count as usize, "attempt {attempt} was given CPUs {cpus}, not {count}");
                self.check_evenness(attempt, cpus, &all)?;
                self.tally.count("launch: on processors of its own");
                Ok(())
            }
            (Placement::Core(count), None) => {
                ensure!(
                    count as usize >= all.len(),
                    "attempt {attempt} was left free, not given {count} CPUs"
                );
                Ok(())
            }
            // Nothing to decide, nothing known, or more needed than a node has.
            (Placement::Auto | Placement::Node | Placement::None, None) => Ok(()),
            (rule, Some(cpus)) => Err(format!("attempt {attempt} was given CPUs {cpus} under {rule}")),
        }
    }

    /// No processor is given to one more attempt while another one holds fewer.
    fn check_evenness(&mut self, attempt: AttemptId, cpus: &CpuSet, all: &CpuSet) -> Check {
        let holders = |cpu: u32| {
            let held = |shadow: &&super::Shadow| shadow.slot.is_some() && shadow.cpus.contains(cpu);
            self.live.values().filter(held).count()
        };
        let most = cpus.iter().map(holders).max();
        let spared = all.iter().filter(|cpu| !cpus.contains(*cpu)).map(holders).min();
        ensure!(
            most <= spared,
            "attempt {attempt} was given CPUs {cpus} although others of {all} hold fewer"
        );
        if let Some(shadow) = self.live.get_mut(&attempt) {
            shadow.cpus = cpus.clone();
        }
        Ok(())
    }
}
