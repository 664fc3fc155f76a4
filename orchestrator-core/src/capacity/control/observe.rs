//! The law looks: a reading of the machine and of what runs.

use super::fleet::{Member, Seen, active};
use super::forecast::{Course, Forecast, Rest};
use super::law::Control;
use super::limit::Moment;
use super::progress::{Rate, RunTime};
use super::reading::{AttemptReading, MachineReading};
use super::size_law::Need;
use super::surplus::{Intervention, Surplus};
use crate::{AttemptId, Timestamp};

/// Between two readings the number of attempts may grow to this multiple of what ran before, and one more; to the other
/// where they wait for somebody else.
const PACE: f64 = 1.6;
const PACE_WAITING: f64 = 3.0;
/// As many as there are cores start at once, up to this number.
const AT_ONCE: f64 = 2.0;
/// The task of an evicted attempt reserves this multiple of what it used or was expected to use.
const AFTER_EVICTION: f64 = 1.3;
/// From this share of its work on a task's own speed tells how long the rest will take …
const TELLING: f64 = 0.02;
/// … but it is not believed to be faster than this multiple of what is usual.
const FASTEST: f64 = 2.0;

impl Control {
    /// The machine and the running attempts were read. Says what is to be done to them; an attempt that is to be evicted
    /// is gone for the law from now on.
    pub fn sampled(
        &mut self,
        now: Timestamp,
        machine: MachineReading,
        attempts: &[AttemptReading],
    ) -> Vec<Intervention> {
        let now = self.advance(now);
        let used_before = std::mem::replace(&mut self.machine, machine).memory_used;
        self.learned = 0;
        if self.sampled_at.is_none() {
            self.limit.begin(machine.cores);
        }
        let since = self.sampled_at.replace(now).map_or(0.0, |before| now - before);
        self.filling = if since > 0.0 { (machine.memory_used - used_before).max(0.0) / since } else { 0.0 };
        let own = self.measure(now, since, attempts);
        self.renew();
        let others = self.other_bounds();
        let lately = self.mean_active.max(self.active as f64);
        let bears = self.cpu_bound();
        let moment = Moment { now, active: lately, others, bears, cores: machine.cores };
        self.limit.decide(moment, &self.progress, &self.knees, &self.kinds);
        // What others took since margins decided is no fault of theirs.
        let failed = machine.memory_used > self.allowed_memory() && own > self.room;
        if !self.fleet.is_empty() {
            self.vigilance.read(failed, since);
        }
        let mut out = self.intervene(now, failed);
        out.extend(self.preempt(since));
        self.active = active(&self.fleet);
        let lately = self.mean_active.max(self.active as f64);
        let pace = if self.limit.waits() { PACE_WAITING } else { PACE };
        let at_least = self.at_once.max(machine.cores.min(AT_ONCE) as usize);
        self.pace = ((pace * lately) as usize + 1).max(at_least);
        out
    }

    /// How many the cores bear; infinite before anything is known.
    fn cpu_bound(&self) -> f64 {
        self.cpu.bound(self.machine.cores, self.rules.cpu_threshold).map_or(f64::INFINITY, f64::from)
    }

    /// The smallest bound besides throughput and memory; infinite if there is none.
    fn other_bounds(&self) -> f64 {
        let plugins = self.plugins.as_ref().map(|(allows, _)| *allows);
        [plugins, self.rules.max].into_iter().flatten().map(f64::from).fold(self.cpu_bound(), f64::min)
    }

    /// What lies above the user's maximum or a plugin's word is none of the freezer's business: it ends by itself, or the
    /// plugins' surplus is stopped.
    fn intervene(&mut self, now: f64, failed: bool) -> Vec<Intervention> {
        let allowed = (self.rules.memory_threshold * self.machine.memory_total).max(1.0);
        let surplus = Surplus {
            now,
            limit: self.limit.stops_above().min(self.cpu_bound()).max(f64::from(self.rules.min)),
            memory: self.machine.memory_used / allowed,
            allowed,
            may_freeze: self.rules.freeze,
            may_evict: self.rules.evict,
        };
        let out = self.net.intervene(&mut self.fleet, &surplus);
        for intervention in &out {
            let Intervention::Evict(attempt) = intervention else { continue };
            let Some(member) = self.fleet.remove(attempt) else { continue };
            let gave_way = self.preemptible == Some(*attempt) && member.rss() <= member.need.mean;
            self.forget_preemptible(*attempt);
            self.forecast.remove(&member.course, &self.growth);
            self.ran_beside(&member);
            // Nothing was wrong about one that had no room of its own.
            if gave_way {
                continue;
            }
            if failed {
                self.vigilance.evicted();
            }
            let raised = self.raised.get(&member.candidate.task).copied().unwrap_or(1.0);
            let law = (member.need.mean / raised).max(1.0);
            let wanted = AFTER_EVICTION * (member.rss().max(member.expected.mean) / law).max(1.0);
            self.raised.insert(member.candidate.task, wanted.max(raised));
        }
        out
    }

    /// Our own memory in use, bytes.
    fn measure(&mut self, now: f64, seconds: f64, attempts: &[AttemptReading]) -> f64 {
        let mut own = 0.0;
        for reading in attempts {
            let Some(member) = self.fleet.get_mut(&reading.attempt) else { continue };
            let seen = member.seen.unwrap_or_default();
            own += reading.rss;
            let (io, cpu) = ((reading.io - seen.io).max(0.0), (reading.cpu - seen.cpu).max(0.0));
            let times = self.kinds.of(member.candidate.kind);
            self.moved.add(&self.progress, io, cpu, member.candidate.input, times);
            let over = seconds.min(now - member.since);
            let grew = member.seen.map_or(0.0, |seen| (reading.rss - seen.rss).max(0.0));
            member.grows = if over > 0.0 { grew / over } else { 0.0 };
            member.seen = Some(Seen { cpu: reading.cpu, io: reading.io, rss: reading.rss });
            member.life.note(reading.io, reading.cpu, reading.rss);
        }
        self.others = (self.machine.memory_used - own).max(0.0);
        let moved = std::mem::take(&mut self.moved);
        let integral = std::mem::replace(&mut self.integral_sampled, self.integral);
        if seconds <= 0.0 {
            return own;
        }
        let speed = moved.speed.map(|speed| speed / seconds);
        let rate = Rate { io: moved.io / seconds, cpu: moved.cpu / seconds, speed };
        self.mean_active = (self.integral - integral) / seconds;
        self.cpu.others(self.machine.cores_busy - rate.cpu);
        if self.mean_active > 0.0 {
            self.cpu.sampled(rate.cpu, self.mean_active, seconds);
            self.limit.sampled(now, seconds, self.mean_active, rate);
        }
        own
    }

    /// What runs is expected to need something else in the light of what was completed and of what it uses.
    pub(super) fn renew(&mut self) {
        self.tell_kinds_apart();
        let running = self.fleet.values().filter_map(|member| {
            let times = self.kinds.of(member.candidate.kind).memory;
            Some((member.candidate.input, member.seen?.rss / times, member.most / times))
        });
        self.stale |= self.sizes.running(running);
        self.sizes.refresh();
        self.progress.refresh();
        if std::mem::take(&mut self.stale) || !self.knows_memory() {
            let needs: Vec<Need> = self.fleet.values().map(|member| self.need(member.candidate)).collect();
            for (member, need) in self.fleet.values_mut().zip(needs) {
                member.need = need;
            }
            self.look_for_extremes();
        }
        for member in self.fleet.values_mut() {
            let Some(seen) = member.seen else { continue };
            let times = self.kinds.of(member.candidate.kind);
            let share = times.share(&self.progress, seen.io, seen.cpu, member.candidate.input);
            member.share = share.map(|(share, _)| share);
            member.most = f64::INFINITY;
            let Some((share, doubt)) = share else {
                member.expected = member.need;
                continue;
            };
            // One that has done all of what tasks do says that nothing is known of its work.
            if share < 1.0 {
                let share_of = |io, cpu| times.share(&self.progress, io, cpu, member.candidate.input);
                let points = member.life.points().chain([(seen.io, seen.cpu, seen.rss)]);
                let points = points.filter_map(|(io, cpu, rss)| Some((share_of(io, cpu)?.0, rss)));
                let most = self.growth.most(points);
                member.most = most;
            }
            let expected = self.growth.update(&member.need, share, doubt, seen.rss);
            member.expected = expected.at_most(member.most, doubt);
        }
        let courses: Vec<Course> =
            self.fleet.iter().map(|(attempt, member)| self.course(*attempt, member)).collect();
        for (member, course) in self.fleet.values_mut().zip(&courses) {
            member.course = *course;
        }
        self.forecast = Forecast::new(&courses, &self.growth);
        self.look_at_fleet();
    }

    /// How a running task's memory is expected to go on.
    fn course(&self, attempt: AttemptId, member: &Member) -> Course {
        match member.frozen {
            _ if self.counts_as_still(attempt, member) => Course::still(member.rss()),
            None => self.going_on(member),
            Some(_) => Course::new(&member.expected, member.rss(), None),
        }
    }

    /// The same, if it goes on now.
    pub(super) fn going_on(&self, member: &Member) -> Course {
        let usual = self.run_time(member.candidate);
        let rest = usual.map(|usual| match member.share {
            Some(share) if share > TELLING => {
                let ran = self.now.unwrap_or(member.since) - member.since - member.still;
                let seconds = (ran / share).max(usual.seconds / FASTEST) * (1.0 - share);
                Rest { share, left: RunTime { seconds, ..usual } }
            }
            _ => Rest { share: 0.0, left: usual },
        });
        Course::new(&member.expected, member.rss(), rest)
    }
}
