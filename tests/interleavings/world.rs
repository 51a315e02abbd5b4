//! The actors around the shards: the order of their steps is drawn from one seed, and the result is compared with a
//! model of all committed writes.

use std::collections::{BTreeMap, BTreeSet};

use ringshard::model::names::ShardName;
use ringshard::model::point_read::{KeyReply, PointRead, ReadStep};
use ringshard::model::rebalance::mover::Mover;
use ringshard::model::rebalance::{Direction, Request, RingState, ShardState, arbiter};
use ringshard::model::ring::arc::{Arc, check_tiling};
use ringshard::model::ring::arc::{ArcState, ShardArc};
use ringshard::model::ring::topology::{Epoch, ShardSpec, Topology, Weight};

use crate::auditor::Auditor;
use crate::shard::{Mutant, Rows, Shard, Value, Wrote, place};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const USERS: i64 = 12;
const STEPS: u32 = 600;
/// An undisturbed mover ends long before.
const STEPS_TO_END: u32 = 5_000;

/// What a schedule did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) crashes: u64,
    pub(crate) stalls: u64,
    pub(crate) cancels: u64,
    pub(crate) changes: u64,
    pub(crate) reads_behind_fences: u64,
    pub(crate) writes: u64,
    pub(crate) writes_refused: u64,
    pub(crate) fast_path_writes: u64,
    pub(crate) fast_path_reads: u64,
    pub(crate) verdicts: u64,
    pub(crate) verdicts_put_off: u64,
}

impl Counts {
    fn all(&mut self) -> [&mut u64; 11] {
        [
            &mut self.crashes,
            &mut self.stalls,
            &mut self.cancels,
            &mut self.changes,
            &mut self.reads_behind_fences,
            &mut self.writes,
            &mut self.writes_refused,
            &mut self.fast_path_writes,
            &mut self.fast_path_reads,
            &mut self.verdicts,
            &mut self.verdicts_put_off,
        ]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        let mut other = other.clone();
        for (sum, more) in self.all().into_iter().zip(other.all()) {
            *sum += *more;
        }
    }

    pub(crate) fn least(&mut self) -> u64 {
        self.all().into_iter().map(|count| *count).min().unwrap()
    }
}

/// `SplitMix64` (Steele, Lea, Flood 2014): small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn in_a_hundred(&mut self, chances: u64) -> bool {
        self.next() % 100 < chances
    }
}

/// A read in progress.
struct Reader {
    id: i64,
    point_read: PointRead<Option<Value>>,
    ask: ShardName,
    /// The epoch of the ring by which it chose that shard, if it uses the fast path.
    fast_path_epoch: Option<Epoch>,
    /// All values of the user since the read began.
    allowed: BTreeSet<Option<Value>>,
}

pub(crate) struct World {
    dice: Dice,
    mutant: Option<Mutant>,
    shards: BTreeMap<ShardName, Shard>,
    truth: BTreeMap<i64, Value>,
    values: Value,
    movers: [(Option<Mover<Rows>>, u32); 2],
    readers: Vec<Option<Reader>>,
    /// The topologies of stable rings: what a client may know.
    views: BTreeMap<Epoch, Topology>,
    /// The shards that received a request in this step.
    asked: BTreeSet<ShardName>,
    auditor: Auditor,
    /// Which shard the auditor reads next; separate dice, so that it does not change the schedule of the others.
    audit: Dice,
    /// Requests in flight whose sender has died.
    orphaned: Vec<(ShardName, Request<Rows>)>,
    step: u32,
    pub(crate) counts: Counts,
}

fn name(at: usize) -> ShardName {
    NAMES[at].parse().unwrap()
}

fn topology(names: impl IntoIterator<Item = ShardName>) -> Topology {
    let specs = names.into_iter().map(|name| ShardSpec { name, weight: Weight::ONE }).collect();
    Topology::new(2, specs).unwrap()
}

impl World {
    pub(crate) fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let first = topology([name(0), name(1)]);
        let ring = first.ring();
        let mut shards = BTreeMap::new();
        for at in 0..NAMES.len() {
            let arcs = ring.arcs().into_iter().filter(|owned| *owned.shard == name(at));
            let arcs =
                arcs.map(|owned| ShardArc { arc: owned.arc, epoch: Epoch::FIRST, state: ArcState::Owned });
            let state = ShardState {
                ring: RingState {
                    epoch: Epoch::FIRST,
                    topology: first.clone(),
                    change: None,
                    desired_topology: None,
                },
                arcs: arcs.collect(),
            };
            let users = (1..=USERS).filter(|id| *ring.owner(place(*id)) == name(at));
            shards.insert(name(at), Shard { state, users: users.map(|id| (id, 0)).collect() });
        }
        Self {
            dice: Dice(seed),
            mutant,
            shards,
            truth: (1..=USERS).map(|id| (id, 0)).collect(),
            values: 0,
            movers: [(None, 0), (None, 0)],
            readers: (0..3).map(|_| None).collect(),
            views: BTreeMap::from([(Epoch::FIRST, first)]),
            asked: BTreeSet::new(),
            auditor: Auditor::default(),
            audit: Dice(!seed),
            orphaned: Vec::new(),
            step: 0,
            counts: Counts::default(),
        }
    }

    /// Runs the schedule. The error is the first violation.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        while self.step < STEPS {
            self.step += 1;
            match self.dice.below(20) {
                0..=5 => self.move_on(0)?,
                6..=11 => self.move_on(1)?,
                12..=14 => self.write(),
                15..=17 => self.read()?,
                18 => self.deliver_orphaned(),
                _ => self.operate(),
            }
            self.check_owners()?;
            self.check_stable()?;
            self.verify()?;
        }
        self.counts.verdicts = self.auditor.verdicts;
        self.counts.verdicts_put_off = self.auditor.repeats;
        self.end()
    }

    fn handle(
        &mut self,
        shard: &ShardName,
        request: Request<Rows>,
    ) -> ringshard::model::rebalance::Reply<Rows> {
        if !matches!(request, Request::Look) {
            self.asked.insert(shard.clone());
        }
        self.shards.get_mut(shard).unwrap().handle(request, self.mutant)
    }

    fn move_on(&mut self, at: usize) -> Result<(), String> {
        let (mover, wakes) = &mut self.movers[at];
        if self.step < *wakes {
            return Ok(());
        }
        if self.dice.in_a_hundred(3) {
            *wakes = self.step + 10 + u32::try_from(self.dice.below(200)).unwrap();
            self.counts.stalls += 1;
            return Ok(());
        }
        let known: Vec<ShardName> = self.shards.keys().cloned().collect();
        let Some(asking) = mover.get_or_insert_with(|| Mover::new(Direction::Forward, known)).next_request()
        else {
            *mover = None;
            return Ok(());
        };
        let (shard, request) = asking;
        // It dies before its request, with the request in flight, or after it; or only the reply is lost.
        match self.dice.below(100) {
            0 => {
                self.counts.crashes += 1;
                self.movers[at].0 = None;
            }
            1 | 2 => {
                self.counts.crashes += 1;
                self.orphaned.push((shard, request));
                self.movers[at].0 = None;
            }
            3 => {
                self.counts.crashes += 1;
                self.handle(&shard, request);
                self.movers[at].0 = None;
            }
            4 | 5 => drop(self.handle(&shard, request)),
            _ => {
                let reply = self.handle(&shard, request);
                let progress = self.movers[at].0.as_mut().unwrap().handle(reply);
                progress.map_err(|damage| format!("step {}: damage: {damage}", self.step))?;
            }
        }
        Ok(())
    }

    fn deliver_orphaned(&mut self) {
        if !self.orphaned.is_empty() {
            let at = self.dice.below(self.orphaned.len());
            let (shard, request) = self.orphaned.swap_remove(at);
            self.handle(&shard, request);
        }
    }

    /// An operator changes the desired topology, or cancels the change that is under way.
    fn operate(&mut self) {
        let newest = self
            .shards
            .values()
            .max_by_key(|shard| (shard.state.ring.epoch, shard.state.ring.change.is_some()));
        let state = newest.unwrap().state.clone();
        if state.ring.change.is_some() {
            if self.dice.in_a_hundred(15) {
                let known: Vec<ShardName> = self.shards.keys().cloned().collect();
                self.movers[self.step as usize % 2] =
                    (Some(Mover::new(Direction::Back(state.ring.epoch), known)), 0);
                self.counts.cancels += 1;
            }
            return;
        }
        let remaining: Vec<ShardName> =
            (0..NAMES.len()).map(name).filter(|_| self.dice.in_a_hundred(60)).collect();
        if remaining.is_empty() {
            return;
        }
        let target = topology(remaining);
        // As `add-shard` does: a joining shard knows the topology that it joins.
        for name in target.names().filter(|name| state.ring.topology.shard(name).is_none()) {
            let joining = &mut self.shards.get_mut(name).unwrap().state;
            if joining.arcs.is_empty()
                && joining.ring.change.is_none()
                && joining.ring.epoch <= state.ring.epoch
            {
                joining.ring.epoch = state.ring.epoch;
                joining.ring.topology = state.ring.topology.clone();
            }
        }
        let first = &mut self.shards.get_mut(arbiter(&state.ring.topology)).unwrap().state;
        if first.ring.epoch == state.ring.epoch
            && first.ring.change.is_none()
            && target != first.ring.topology
        {
            first.ring.desired_topology = Some(target);
            self.counts.changes += 1;
        }
    }

    fn user(&mut self) -> i64 {
        i64::try_from(self.dice.below(usize::try_from(USERS).unwrap())).unwrap() + 1
    }

    /// The shard that a client asks: any, or the owner by a stable ring that it knows, mostly the last one.
    fn route(&mut self, id: i64) -> (ShardName, Option<Epoch>) {
        if self.dice.in_a_hundred(50) {
            return (name(self.dice.below(NAMES.len())), None);
        }
        let back = if self.dice.in_a_hundred(70) { 0 } else { self.dice.below(self.views.len()) };
        let (epoch, topology) = self.views.iter().nth_back(back).unwrap();
        (topology.ring().owner(place(id)).clone(), Some(*epoch))
    }

    fn write(&mut self) {
        let id = self.user();
        let (shard, fast_path_epoch) = self.route(id);
        self.values += 1;
        let value = Some(self.values).filter(|_| self.dice.in_a_hundred(80));
        let shard = self.shards.get_mut(&shard).unwrap();
        if fast_path_epoch.is_some_and(|epoch| shard.is_stable(epoch, self.mutant)) {
            shard.put(id, value);
            self.counts.fast_path_writes += 1;
        } else {
            match shard.write(id, value, self.mutant) {
                Wrote::Done => self.counts.writes += 1,
                Wrote::Fenced | Wrote::NotOwner => {
                    self.counts.writes_refused += 1;
                    return;
                }
            }
        }
        match value {
            Some(value) => self.truth.insert(id, value),
            None => self.truth.remove(&id),
        };
        for reader in self.readers.iter_mut().flatten().filter(|reader| reader.id == id) {
            reader.allowed.insert(value);
        }
    }

    fn read(&mut self) -> Result<(), String> {
        let at = self.dice.below(self.readers.len());
        let Some(mut reader) = self.readers[at].take() else {
            let id = self.user();
            let (ask, fast_path_epoch) = self.route(id);
            let allowed = BTreeSet::from([self.truth.get(&id).copied()]);
            self.readers[at] =
                Some(Reader { id, point_read: PointRead::default(), ask, fast_path_epoch, allowed });
            return Ok(());
        };
        let shard = &self.shards[&reader.ask];
        let (reply, row) = shard.read(reader.id);
        let is_fenced = matches!(reply, KeyReply::Fenced { .. });
        self.counts.reads_behind_fences += u64::from(is_fenced);
        let is_stable =
            reader.fast_path_epoch.take().is_some_and(|epoch| shard.is_stable(epoch, self.mutant));
        self.counts.fast_path_reads += u64::from(is_stable);
        let next = if is_stable || is_fenced && self.mutant == Some(Mutant::TrustFencedRead) {
            ReadStep::Counts(row, reader.ask.clone())
        } else {
            reader.point_read.answer(&reader.ask.clone(), reply, row)
        };
        match next {
            ReadStep::Ask(shard) => reader.ask = shard,
            ReadStep::LookUp => reader.ask = name(self.dice.below(NAMES.len())),
            ReadStep::Counts(row, shard) => {
                if !reader.allowed.contains(&row) {
                    let (id, allowed) = (reader.id, &reader.allowed);
                    return Err(format!(
                        "step {}: user {id} was read as {row:?} from {shard}, not {allowed:?}",
                        self.step
                    ));
                }
                return Ok(());
            }
        }
        self.readers[at] = Some(reader);
        Ok(())
    }

    /// The auditor reads one more shard now and then.
    fn verify(&mut self) -> Result<(), String> {
        if self.audit.in_a_hundred(60) {
            let unasked = self.auditor.unasked(self.shards.keys());
            let name = &unasked[self.audit.below(unasked.len())];
            let asked = self.auditor.ask(name, &self.shards[name], unasked.len() == 1);
            asked.map_err(|why| format!("step {}: {why}", self.step))?;
        }
        Ok(())
    }

    /// No position has two owners, at any time.
    fn check_owners(&self) -> Result<(), String> {
        let mut owned: Vec<Arc> = Vec::new();
        for shard in self.shards.values() {
            owned.extend(
                shard.state.arcs.iter().filter(|held| held.state == ArcState::Owned).map(|held| held.arc),
            );
        }
        owned.sort_unstable();
        match owned.windows(2).find(|pair| pair[0].last() >= pair[1].first()) {
            Some(pair) => Err(format!("step {}: {} has two owners", self.step, pair[1])),
            None => Ok(()),
        }
    }

    /// A shard without a change owns what its ring assigns to it, and there is one ring for each epoch.
    fn check_stable(&mut self) -> Result<(), String> {
        for name in std::mem::take(&mut self.asked) {
            let shard = &self.shards[&name];
            shard.check_stable(&name).map_err(|why| format!("step {}: {why}", self.step))?;
            if shard.state.ring.change.is_none() {
                let (epoch, topology) = (shard.state.ring.epoch, &shard.state.ring.topology);
                if self.views.entry(epoch).or_insert_with(|| topology.clone()) != topology {
                    return Err(format!("step {}: epoch {epoch} has two topologies", self.step));
                }
            }
        }
        Ok(())
    }

    /// Completes what is unfinished. Then every user is on its owner, as it was last written.
    fn end(&mut self) -> Result<(), String> {
        while !self.orphaned.is_empty() {
            self.deliver_orphaned();
        }
        let mut mover = Mover::new(Direction::Forward, self.shards.keys().cloned());
        let mut steps = 0;
        while let Some((shard, request)) = mover.next_request() {
            let reply = self.handle(&shard, request);
            mover.handle(reply).map_err(|damage| format!("at the end: damage: {damage}"))?;
            steps += 1;
            if steps > STEPS_TO_END {
                return Err(format!("a mover alone does not come to an end: {:?}", mover.phase()));
            }
        }
        let newest = self.shards.values().max_by_key(|shard| shard.state.ring.epoch).unwrap().state.clone();
        let ring = newest.ring.topology.ring();
        let arcs = self.shards.values().flat_map(|shard| shard.state.arcs.iter().map(|held| held.arc));
        check_tiling(arcs).map_err(|fault| format!("at the end: {fault:?}"))?;
        for (name, shard) in &self.shards {
            if let Some(held) = shard.state.arcs.iter().find(|held| held.state != ArcState::Owned) {
                return Err(format!("at the end: {name} has {} fenced for ever", held.arc));
            }
            let should: Rows = self
                .truth
                .iter()
                .filter(|(id, _)| ring.owner(place(**id)) == name)
                .map(|(id, value)| (*id, *value))
                .collect();
            if shard.users != should {
                return Err(format!("at the end: {name} has {:?} instead of {should:?}", shard.users));
            }
        }
        Ok(())
    }
}
