//! What happens to a host from outside: people, disks, plugins, and voices that nobody should believe.

use orchestrator_core::metrics::Usage;
use orchestrator_core::placement::{Cpu, Node, Topology};
use orchestrator_core::scheduler::{
    CapacityAnswer, Event, ExitStatus, FailureReason, Fingerprint, InputPath, OutputFault, OutputRecord,
    ProcessIdentity, SpawnFault, StopLevel,
};
use orchestrator_core::{AttemptId, Bytes};

use super::agenda::What;
use super::chance::Chance;
use super::settings::PluginMood;
use super::world::World;

impl World {
    /// What is going to happen in this life whatever the scheduler does.
    pub(super) fn plan_events(&mut self) {
        let World { settings, chance, agenda, now, hostile, .. } = self;
        let soon = |chance: &mut Chance| *now + chance.below(12_000_000);
        if settings.samples {
            agenda.put(soon(chance), What::Sample(30));
        }
        if settings.plugins > 0 {
            agenda.put(soon(chance), What::Round(40));
        }
        for _ in 0..if settings.topology_changes { chance.below(5) } else { 0 } {
            agenda.put(soon(chance), What::TopologyChanges);
        }
        if !*hostile {
            return;
        }
        if settings.stops && chance.coin() {
            let level = chance.pick(&[StopLevel::Drain, StopLevel::Drain, StopLevel::Now]);
            agenda.put(soon(chance), What::Hear(Box::new(Event::StopRequested(level))));
            if chance.coin() {
                let level = chance.pick(&[StopLevel::Drain, StopLevel::Now, StopLevel::Now]);
                agenda.put(soon(chance), What::Hear(Box::new(Event::StopRequested(level))));
            }
        }
        for _ in 0..if settings.policy_changes { chance.below(4) } else { 0 } {
            agenda.put(soon(chance), What::PolicyChanges);
        }
        if settings.disk_windows {
            let from = soon(chance);
            agenda.put(from, What::DiskFull(true));
            agenda.put(from + chance.below(4_000_000), What::DiskFull(false));
        }
        if settings.broken_binary && chance.coin() {
            agenda.put(soon(chance), What::BinaryBreaks);
        }
        if settings.vanish > 0 && chance.coin() {
            agenda.put(soon(chance), What::Vanishes);
        }
    }

    /// The processors that may be used now: two nodes of which any part may be missing, with memory told or not, with
    /// second threads or not; sometimes nothing is told.
    pub(super) fn topology(&mut self) -> Topology {
        let chance = &mut self.chance;
        let (each, threads) = (chance.small(1, 4), chance.small(1, 2));
        let missing = chance.rate(700);
        let cpu = |id: u32| {
            let core = id / threads;
            Cpu { id, core: core * threads, cache: id / (each * threads) * each * threads, node: core / each }
        };
        let cpus = (0..2 * each * threads).map(cpu).filter(|_| !chance.hits(missing)).collect();
        let memory = Bytes(32 << 20);
        let known = [Node { id: 0, memory }, Node { id: 1, memory }];
        Topology::new(cpus, if chance.coin() { &known } else { &[] })
    }

    /// One round of the capacity plugins; the last one is calm.
    pub(super) fn capacity_answers(&mut self, last: bool) -> Vec<CapacityAnswer> {
        let World { settings, chance, tally, .. } = self;
        (0..settings.plugins)
            .map(|number| {
                let capacity = match settings.mood {
                    PluginMood::Dead => None,
                    PluginMood::Failing if !last && chance.coin() => None,
                    PluginMood::Flapping if !last => {
                        chance.pick(&[None, Some(0), Some(1), Some(3), Some(12)])
                    }
                    PluginMood::Zero => Some(0),
                    PluginMood::Huge => Some(chance.pick(&[u32::MAX, 1_000_000])),
                    PluginMood::Steady | PluginMood::Failing | PluginMood::Flapping => {
                        Some(2 + 3 * number as u32)
                    }
                };
                tally.count(match capacity {
                    None => "plugin failed",
                    Some(0) => "plugin said 0",
                    Some(_) => "plugin answered",
                });
                CapacityAnswer {
                    instance: format!("plugin{number}"),
                    capacity,
                    reason: "simulated".to_owned(),
                }
            })
            .collect()
    }

    /// A voice that means nothing: of an attempt that was given up on or never was, of a live one that is past (or
    /// before) such news, or a stray tick. `listens` knows whether an event would mean something.
    pub(super) fn forge(&mut self, last_attempt: u64, listens: impl Fn(&Event) -> bool) -> Event {
        let chance = &mut self.chance;
        let unborn = chance.hits(300);
        let recent = 1 + last_attempt.saturating_sub(chance.below(6));
        let any = 1 + chance.below(last_attempt.max(1));
        let known = if chance.coin() { recent.min(last_attempt.max(1)) } else { any };
        let attempt = AttemptId(if unborn { last_attempt + 1 + chance.below(3) } else { known });
        let fingerprint = Fingerprint { size: 1, version: 99 };
        let identity = ProcessIdentity { pid: 1, start_ticks: 1 };
        let output = OutputRecord { path: InputPath::new(b"in/0.out"), size: 7 };
        let detail = "forged".to_owned();
        let refused = |fault| Event::LaunchFailed { attempt, reason: FailureReason::Spawn(fault) };
        let event = match chance.below(9) {
            0 => Event::AttemptStarted { attempt, identity, fingerprint },
            1 => refused(SpawnFault::Config { detail }),
            2 => refused(SpawnFault::Machine { detail }),
            3 => {
                let status = chance.pick(&[ExitStatus::Code(0), ExitStatus::Code(1)]);
                Event::AttemptExited { attempt, status, usage: Usage::default(), oom: false, leaked: false }
            }
            4 => Event::OutputValidated { attempt, verdict: Ok(vec![output]) },
            5 => Event::OutputValidated { attempt, verdict: Err(OutputFault::Missing) },
            6 => Event::OutputPublished { attempt },
            7 => Event::PublishFailed { attempt, reason: FailureReason::DiskFull },
            _ => Event::Ticked,
        };
        if listens(&event) {
            return Event::Ticked;
        }
        self.tally.count("event forged");
        event
    }
}
