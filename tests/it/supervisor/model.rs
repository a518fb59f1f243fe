//! What a tree of supervisors does, in as few words as possible: one thing after the other, with the time in milliseconds.
//!
//! It is right for scripts whose next step comes when the last one's consequences are over.

use poe::component::{Restart, Strategy};

#[derive(Clone, Debug)]
pub(crate) struct LeafPlan {
    pub(crate) name: String,
    pub(crate) restart: Restart,
    /// The first wait of its backoff, which doubles up to eight times of it.
    pub(crate) backoff: Option<u64>,
    /// The time that it takes to end when it is asked to, and the limit for it.
    pub(crate) drain: u64,
    pub(crate) limit: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct SupPlan {
    pub(crate) name: String,
    pub(crate) strategy: Strategy,
    pub(crate) restart: Restart,
    pub(crate) times: usize,
    pub(crate) period: u64,
    pub(crate) children: Vec<Plan>,
}

#[derive(Clone, Debug)]
pub(crate) enum Plan {
    Leaf(LeafPlan),
    Sup(SupPlan),
}

impl Plan {
    fn restart(&self) -> Restart {
        match self {
            Plan::Leaf(leaf) => leaf.restart,
            Plan::Sup(sup) => sup.restart,
        }
    }
}

pub(crate) struct Model {
    pub(crate) now: u64,
    pub(crate) lines: Vec<(u64, String)>,
    /// How many of its next starts fail.
    pub(crate) bad: std::collections::HashMap<String, u32>,
    /// `None` when it has given up, or was shut down.
    pub(crate) root: Option<Sup>,
}

pub(crate) struct Sup {
    plan: SupPlan,
    restarted: Vec<u64>,
    children: Vec<Child>,
}

struct Child {
    plan: Plan,
    /// `None` while it is down.
    life: Option<Life>,
    since: u64,
    failures: u32,
}

enum Life {
    Leaf,
    Sup(Sup),
}

/// The supervisor has given up, and everything below it has ended.
struct GaveUp;

impl Model {
    pub(crate) fn start(plan: &SupPlan, bad: std::collections::HashMap<String, u32>) -> Model {
        let mut model = Model {
            now: 0,
            lines: Vec::new(),
            bad,
            root: None,
        };
        model.root = model.start_sup(plan).ok();
        model
    }

    fn say(&mut self, line: String) {
        self.lines.push((self.now, line));
    }

    fn start_sup(&mut self, plan: &SupPlan) -> Result<Sup, GaveUp> {
        let mut sup = Sup {
            plan: plan.clone(),
            restarted: Vec::new(),
            children: Vec::new(),
        };
        sup.children = plan
            .children
            .iter()
            .map(|plan| Child {
                plan: plan.clone(),
                life: None,
                since: 0,
                failures: 0,
            })
            .collect();
        for at in 0..sup.children.len() {
            if self.start_child(&mut sup.children[at]).is_err() {
                self.stop_sup(sup);
                return Err(GaveUp);
            }
        }
        Ok(sup)
    }

    fn start_child(&mut self, child: &mut Child) -> Result<(), GaveUp> {
        let life = match &child.plan {
            Plan::Leaf(leaf) => {
                let bad = self.bad.entry(leaf.name.clone()).or_default();
                if *bad > 0 {
                    *bad -= 1;
                    self.say(format!("no start {}", leaf.name));
                    return Err(GaveUp);
                }
                self.say(format!("start {}", leaf.name));
                Life::Leaf
            }
            Plan::Sup(plan) => Life::Sup(self.start_sup(&plan.clone())?),
        };
        child.life = Some(life);
        child.since = self.now;
        Ok(())
    }

    fn stop_child(&mut self, child: &mut Child) {
        match (child.life.take(), &child.plan) {
            (Some(Life::Leaf), Plan::Leaf(leaf)) if leaf.limit > 0 => {
                let (name, time) = (leaf.name.clone(), leaf.drain.min(leaf.limit));
                self.say(format!("stop {name}"));
                self.now += time;
            }
            (Some(Life::Sup(sup)), _) => self.stop_sup(sup),
            _ => {}
        }
    }

    fn stop_sup(&mut self, mut sup: Sup) {
        while let Some(mut child) = sup.children.pop() {
            self.stop_child(&mut child);
        }
    }

    pub(crate) fn shut_down(&mut self) {
        if let Some(root) = self.root.take() {
            self.stop_sup(root);
        }
    }

    /// A leaf fails, or ends by itself. Nothing happens if it is down.
    pub(crate) fn leaf_ends(&mut self, name: &str, failed: bool) {
        if let Some(mut root) = self.root.take() {
            if let Some(Err(GaveUp)) = self.ends_in(&mut root, name, failed) {
                return;
            }
            self.root = Some(root);
        }
    }

    /// `None`: it is not there, or not up.
    fn ends_in(&mut self, sup: &mut Sup, name: &str, failed: bool) -> Option<Result<(), GaveUp>> {
        for at in 0..sup.children.len() {
            let child = &mut sup.children[at];
            let failed = match (&mut child.life, &child.plan) {
                (Some(Life::Leaf), Plan::Leaf(leaf)) if leaf.name == name => failed,
                (Some(Life::Sup(below)), _) => match self.ends_in(below, name, failed) {
                    Some(Err(GaveUp)) => true,
                    Some(Ok(())) => return Some(Ok(())),
                    None => continue,
                },
                _ => continue,
            };
            return Some(self.child_ended(sup, at, failed));
        }
        None
    }

    fn child_ended(&mut self, sup: &mut Sup, at: usize, failed: bool) -> Result<(), GaveUp> {
        let child = &mut sup.children[at];
        child.life = None;
        match child.plan.restart() {
            Restart::Temporary => {
                sup.children.remove(at);
                Ok(())
            }
            Restart::Transient if !failed => Ok(()),
            _ => {
                if self.now - child.since >= sup.plan.period {
                    child.failures = 0;
                }
                self.restart(sup, at)
            }
        }
    }

    fn restart(&mut self, sup: &mut Sup, mut at: usize) -> Result<(), GaveUp> {
        loop {
            let (now, period) = (self.now, sup.plan.period);
            sup.restarted.retain(|then| now - then <= period);
            if sup.restarted.len() >= sup.plan.times {
                let sup = std::mem::replace(
                    sup,
                    Sup {
                        plan: sup.plan.clone(),
                        restarted: Vec::new(),
                        children: Vec::new(),
                    },
                );
                self.stop_sup(sup);
                return Err(GaveUp);
            }
            sup.restarted.push(now);
            let child = &mut sup.children[at];
            let wait = match &child.plan {
                Plan::Leaf(LeafPlan {
                    backoff: Some(first), ..
                }) => (first << child.failures.min(10)).min(first * 8),
                _ => 0,
            };
            child.failures += 1;
            // Those that go with it: stopped from the last, and the temporary ones for good.
            let (from, to) = match sup.plan.strategy {
                Strategy::OneForOne => (at, at + 1),
                Strategy::OneForAll => (0, sup.children.len()),
                _ => (at, sup.children.len()),
            };
            let mut group: Vec<Child> = sup.children.drain(from..to).collect();
            for child in group.iter_mut().rev() {
                self.stop_child(child);
            }
            group.retain(|child| child.plan.restart() != Restart::Temporary);
            self.now = self.now.max(now + wait);
            let mut failed = None;
            for (i, child) in group.iter_mut().enumerate() {
                if self.start_child(child).is_err() {
                    failed = Some(from + i);
                    break;
                }
            }
            sup.children.splice(from..from, group);
            match failed {
                None => return Ok(()),
                Some(next) => at = next,
            }
        }
    }
}
