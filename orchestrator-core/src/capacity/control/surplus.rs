//! What to do about those that run too many: the freezer, and the safety net under the memory bound.
//!
//! The youngest stand still first and the oldest go on first; the oldest of all is never stopped, so there is always
//! progress (after Buck2's resource control). Eviction is the last resort: it loses work.

use serde::{Deserialize, Serialize};

use super::fleet::{Fleet, FrozenFor, Member, active};
use crate::AttemptId;

/// More than this multiple of the limit (and one more) are too many.
const SURPLUS: f64 = 1.25;
/// Memory in use as a multiple of the threshold: above this the youngest is frozen, one a reading …
pub(super) const FREEZE_ABOVE: f64 = 0.985;
/// … above this one is evicted at once, the fastest growing …
const EVICT_ABOVE: f64 = 86.0 / 75.0;
/// … and below this the oldest frozen goes on, and more of them as long as what they still need stays below it.
const THAW_BELOW: f64 = 68.0 / 75.0;
/// With this share of what runs frozen for memory, one of them is evicted, to let the others go on; also with but one
/// left that is not frozen, above this multiple of the threshold.
const FROZEN_SHARE: f64 = 0.6;
const GIVE_WAY_ABOVE: f64 = 1.0;
/// Seconds between two such evictions.
const BETWEEN_EVICTIONS: f64 = 5.0;
/// The same where memory is far over the threshold: what is evicted takes a moment to give its own back, however often is
/// looked.
const BETWEEN_URGENT: f64 = 1.0;
/// Seconds added to an attempt's age when its growth is judged.
const YOUTH: f64 = 5.0;

/// What is to be done to a running attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum Intervention {
    /// Stop it for now.
    Freeze(AttemptId),
    /// Let it go on.
    Thaw(AttemptId),
    /// End it and requeue its task.
    Evict(AttemptId),
}

/// The moment, as far as surplus goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surplus {
    pub(super) now: f64,
    /// How many help and are borne.
    pub(super) limit: f64,
    /// Memory in use as a multiple of the threshold.
    pub(super) memory: f64,
    /// The threshold, bytes.
    pub(super) allowed: f64,
    pub(super) may_freeze: bool,
    pub(super) may_evict: bool,
}

/// The net's memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Net {
    last_eviction: Option<f64>,
}

impl Net {
    /// Freezes, thaws and evicts. Evicted attempts stay in the fleet, for the law to take leave of.
    pub(super) fn intervene(&mut self, fleet: &mut Fleet, surplus: &Surplus) -> Vec<Intervention> {
        let mut out = Vec::new();
        if surplus.may_freeze {
            freezer(fleet, surplus.limit, &mut out);
        }
        if let Some(attempt) = self.evictable(fleet, surplus) {
            set(fleet, attempt, Some(FrozenFor::Memory));
            self.last_eviction = Some(surplus.now);
            out.push(Intervention::Evict(attempt));
        } else if surplus.may_freeze {
            catch(fleet, surplus, &mut out);
        }
        out
    }

    fn evictable(&self, fleet: &Fleet, surplus: &Surplus) -> Option<AttemptId> {
        if !surplus.may_evict || fleet.len() < 2 {
            return None;
        }
        let eldest = fleet.keys().next();
        let others = || fleet.iter().filter(|(attempt, _)| Some(*attempt) != eldest);
        let since_last = self.last_eviction.map_or(f64::INFINITY, |last| surplus.now - last);
        if surplus.memory > EVICT_ABOVE {
            if since_last < BETWEEN_URGENT {
                return None;
            }
            let growth = |member: &Member| member.rss() / (surplus.now - member.since + YOUTH);
            return others()
                .max_by(|(_, a), (_, b)| growth(a).total_cmp(&growth(b)))
                .map(|(attempt, _)| *attempt);
        }
        let waits = |member: &Member| member.frozen.is_some_and(FrozenFor::wants_memory);
        let frozen = fleet.values().filter(|member| waits(member)).count();
        let many = frozen as f64 >= (FROZEN_SHARE * fleet.len() as f64).max(2.0);
        let stuck = frozen > 0 && active(fleet) <= 1 && surplus.memory > GIVE_WAY_ABOVE;
        if since_last <= BETWEEN_EVICTIONS || !(many || stuck) {
            return None;
        }
        let work =
            |member: &Member| member.seen.map_or(0.0, |seen| seen.cpu) + 0.1 * (surplus.now - member.since);
        others()
            .filter(|(_, member)| waits(member))
            .min_by(|(_, a), (_, b)| work(a).total_cmp(&work(b)))
            .map(|(attempt, _)| *attempt)
    }
}

/// Freezes the youngest of a surplus over the limit; thaws the oldest when there is room again.
fn freezer(fleet: &mut Fleet, limit: f64, out: &mut Vec<Intervention>) {
    let limit = limit.max(1.0) as usize;
    let active = active(fleet);
    if active as f64 > SURPLUS * limit as f64 + 1.0 {
        for _ in limit..active {
            freeze_youngest(fleet, FrozenFor::Throughput, out);
        }
    } else {
        for _ in active..limit {
            thaw_oldest(fleet, FrozenFor::Throughput, out);
        }
    }
}

/// The net under the memory bound.
fn catch(fleet: &mut Fleet, surplus: &Surplus, out: &mut Vec<Intervention>) {
    let memory = surplus.memory;
    if memory > FREEZE_ABOVE && active(fleet) > 1 {
        freeze_youngest(fleet, FrozenFor::Memory, out);
    } else if memory < THAW_BELOW {
        thaw_what_fits(fleet, surplus, out);
    }
    if active(fleet) == 0
        && let Some(attempt) = fleet.keys().next().copied()
    {
        set(fleet, attempt, None);
        out.push(Intervention::Thaw(attempt));
    }
}

pub(super) fn set(fleet: &mut Fleet, attempt: AttemptId, frozen: Option<FrozenFor>) {
    if let Some(member) = fleet.get_mut(&attempt) {
        member.frozen = frozen;
    }
}

fn freeze_youngest(fleet: &mut Fleet, why: FrozenFor, out: &mut Vec<Intervention>) {
    let youngest =
        fleet.iter().rev().find(|(_, member)| member.frozen.is_none()).map(|(attempt, _)| *attempt);
    if let Some(attempt) = youngest {
        set(fleet, attempt, Some(why));
        out.push(Intervention::Freeze(attempt));
    }
}

fn thaw_what_fits(fleet: &mut Fleet, surplus: &Surplus, out: &mut Vec<Intervention>) {
    let mut room = (THAW_BELOW - surplus.memory) * surplus.allowed;
    while let Some(member) = thaw_oldest(fleet, FrozenFor::Memory, out) {
        room -= (member.expected.mean - member.rss()).max(0.0);
        if room <= 0.0 {
            return;
        }
    }
}

/// Lets the oldest that stands still for this reason go on, and says who that is.
fn thaw_oldest<'a>(fleet: &'a mut Fleet, why: FrozenFor, out: &mut Vec<Intervention>) -> Option<&'a Member> {
    let (attempt, member) = fleet.iter_mut().find(|(_, member)| member.frozen == Some(why))?;
    member.frozen = None;
    out.push(Intervention::Thaw(*attempt));
    Some(member)
}
